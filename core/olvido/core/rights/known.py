"""What may be asked of a sink: the one list of rights, and of actions, which a consent change adds to."""

from collections.abc import Mapping

from olvido.core.rights.access import Access
from olvido.core.rights.consent import Consent
from olvido.core.rights.erase import Erase
from olvido.core.rights.lift_restriction import LiftRestriction
from olvido.core.rights.names import Action, Right
from olvido.core.rights.object import Object
from olvido.core.rights.portability import Portability
from olvido.core.rights.rectify import Rectify
from olvido.core.rights.restrict import Restrict
from olvido.core.rights.unknown import Unknown
from olvido.core.rights.what import OfRequest, What
from olvido.core.rights.withdraw_objection import WithdrawObjection

_RIGHTS: tuple[type[OfRequest], ...] = (
    Erase,
    Access,
    Portability,
    Rectify,
    Restrict,
    Object,
    LiftRestriction,
    WithdrawObjection,
)
RIGHTS: Mapping[Right, type[OfRequest]] = {each.right: each for each in _RIGHTS}  # those a person may name
_OTHERS: tuple[type[What], ...] = (Consent, Unknown)
ACTIONS: Mapping[Action, type[What]] = {each.action: each for each in (*_RIGHTS, *_OTHERS)}


def of_right(right: Right) -> type[OfRequest]:
    """What a request for a right asks of its sinks."""
    return RIGHTS.get(right, Unknown)
