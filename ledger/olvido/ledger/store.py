"""The ledger as processes see it: one database, and each noun of it in a module of its own.

Each ``save`` is one transaction. It may be called again with the same values, also when nobody
knows whether the first call was committed: every insert does nothing the second time, every
update is a maximum. The records of the batch are noted as handled later, by the transaction
that ends their publication.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from uuid import UUID

from olvido.ledger.connection import Database
from olvido.ledger.consents import Consents
from olvido.ledger.events import Events
from olvido.ledger.figures import Figures
from olvido.ledger.handled_offsets import HandledOffsets
from olvido.ledger.held import Held
from olvido.ledger.publications import Publications
from olvido.ledger.recording import Recording, recording
from olvido.ledger.requests import Requests
from olvido.ledger.tasks import Tasks
from olvido.ledger.verifications import Verifications


class Ledger:
    """What processes save and load. May be shared between threads; a process builds one.

    Everything raises ``Unavailable`` if the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.requests = Requests(database)
        self.consents = Consents(database)
        self.verifications = Verifications(database)
        self.events = Events(database)
        self.tasks = Tasks(database)
        self.held = Held(database)
        self.publications = Publications(database)
        self.progress = HandledOffsets(database)
        self.figures = Figures(database)

    def recording(self, request_ids: Iterable[UUID]) -> AbstractContextManager[Recording]:
        """A transaction in which receipts become outcomes and outcomes become states."""
        return recording(self.database, request_ids)
