"""Publishes states to the compacted topics, and checks afterwards that they are not stale.

A process that read a state may stand still before it publishes it, and another process may publish a newer
one meanwhile. So each process that has published reads the ledger once more, and publishes again what has
changed since, until nothing has:

    begin (a row)  ▸  publish  ▸  read again: has it changed?  ▸  end (the row is deleted)
                         ▲                │ yes
                         └────────────────┘

Claim: the last record about a request or a consent is not stale. Suppose that it is. Its writer read the
ledger after it had published. Either the ledger had changed by then, and the writer published again; or the
ledger changed later, and the process that changed it published after that. So it was not the last record.

What is left is a process that dies before it reads again:

- before ``begin``: it has published nothing, and saved nothing. The batch comes again, or the timer's next
  look finds the same. A process that saves begins in the transaction that saves: its batch may never come
  again, if another process has done it meanwhile, or has refused the same records by a clock that is behind.
- after ``begin``: the row stays, and :meth:`Publication.run_once` of any process publishes the present state.
  The batch alone would not do. The dead process may have been a zombie, and the next owner of its partition
  may have done the batch meanwhile: then nobody is brought it again.
- at the delete: the row is there or is not. If it is, the same state is published once more.

A row counts as left behind after ``GIVEN_UP_AFTER``. Nobody heals a process that stands still for longer
than that and then dies within the millisecond after its publish.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta

from olvido.core.offsets import OffsetRange
from olvido.ledger.store import Ledger
from olvido.processors.emission import Emission, Prepared

logger = logging.getLogger("olvido.processors")

GIVEN_UP_AFTER = timedelta(minutes=10)  # more than a worker or its group is patient with a batch
PUBLICATIONS_MAX = 20  # of up to a batch each, that one look publishes again


class Publication:
    """Sends what a step asks for, and sees to it that the states it publishes are not stale."""

    def __init__(self, ledger: Ledger, emission: Emission) -> None:
        self._ledger = ledger
        self._emission = emission

    def send(self, prepared: Prepared, *, handled: Sequence[OffsetRange] = ()) -> None:
        """Send everything, and note the records that asked for it as handled.

        Raises:
            Unavailable: the broker or the ledger does not answer. Calling again publishes everything again.
        """
        if not prepared.standing:
            self._emission.send(prepared)
            if handled:
                self._ledger.progress.add(handled)
            return
        published = prepared.standing
        publication_id = prepared.publication_id
        if publication_id is None:
            publication_id = self._ledger.publications.begin(published.about)
        self._emission.send(prepared)
        # Killed from here on, or before the publish: run_once publishes again what was begun.
        while changed := self._ledger.publications.end(publication_id, published, handled=handled):
            self._emission.send(self._emission.prepare(statuses=changed.statuses, states=changed.states))
            published = published.updated_by(changed)

    def run_once(self) -> int:
        """Publish the present state of what publications left behind are of; returns of how many.

        Raises:
            Unavailable: the broker or the ledger does not answer.
        """
        left, about = self._ledger.publications.unended(older_than=GIVEN_UP_AFTER, limit=PUBLICATIONS_MAX)
        if left:
            standing = self._ledger.publications.snapshot(about)
            self.send(self._emission.prepare(statuses=standing.statuses, states=standing.states))
            # Killed before this line: the process that looks next publishes them again.
            self._ledger.publications.end_all(left)
            logger.info("published anew what %d publications left behind", len(left))
        return len(left)
