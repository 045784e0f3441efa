"""A person, as they are found here: by handles, which this machine computes and keeps nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from olvido.core.subject import Handle
from olvido.ledger.figures import Figures
from olvido.operators.desk.ledger import database
from olvido.operators.settings import project
from olvido.schemas.privacy.handle_key import HandleKey
from olvido.schemas.privacy.identities import identities_from
from olvido.schemas.settings.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingConsent:
    """What a person has decided about one purpose, as it stands."""

    identity: str  # the kind of identity that it is kept under, such as email
    purpose: str
    decision: str
    occurred_at: datetime  # its place in the order
    policy_version: str
    event_id: UUID
    handle: str
    late: bool  # the broker took it so long after that a person should know


def handles_of(declared: Deployment, identities: Mapping[str, str]) -> tuple[Handle, ...]:
    """The handles of a person. Computed here, with this machine's handle key; nothing is sent or kept.

    Raises:
        InvalidInput: naming the kind of identity, never its value.
        ConfigError: the handle key is not on this machine.
    """
    key = HandleKey.load(project() / declared.keys.handle_file)
    return tuple(key.handle(one) for one in identities_from(identities, declared.identity_order))


def consents_of(declared: Deployment, handles: tuple[Handle, ...]) -> list[StandingConsent]:
    """What stands about each purpose for a person, by each of their handles.

    Raises:
        Unavailable: the ledger does not answer.
    """
    kinds = {handle.value: handle.kind.value for handle in handles}
    return [
        StandingConsent(identity=kinds[row["handle"]], **row)
        for row in Figures(database(declared)).consents(list(kinds))
    ]
