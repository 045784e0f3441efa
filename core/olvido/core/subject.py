"""The person: identities that systems know them by, and handles that stand for those.

A handle is the keyed pseudonym of one identity. Handles may be seen by
anybody; an identity is only ever in a producer, in a sealed box, or in a sink.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.spellings import composed, email_forms, phone_forms

HANDLES_MAX = 32  # identities of one person in one event; more is a mistake upstream

HANDLE_FORM = r"h[1-9][0-9]{0,3}_[A-Za-z0-9_-]{43}"
_HANDLE = re.compile(HANDLE_FORM)


class IdentityKind(StrEnum):
    """How a system may know a person. In the default order: the first present names the subject."""

    CUSTOMER_ID = "customer_id"
    EMAIL = "email"
    PHONE = "phone"
    DEVICE_ID = "device_id"
    COOKIE_ID = "cookie_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One identity in clear. Its repr is masked, so that it may stand in a traceback."""

    kind: IdentityKind
    value: str  # as given
    normalised: str  # by the written rule of its kind

    def __repr__(self) -> str:
        return f"Identity({self.kind.value}=…)"

    __str__ = __repr__

    @property
    def spellings(self) -> tuple[str, ...]:
        """The values a target may hold, each once: as normalised, as given, and the other forms of both.

        No one of them is blank: a blank one would find strangers. The case of an e-mail address is
        nothing that two of them differ by.
        """
        given = self.value
        match self.kind:
            case IdentityKind.EMAIL:
                given = given.lower() if given.isascii() else given
                forms = email_forms(self.normalised)
            case IdentityKind.PHONE:
                forms = phone_forms(self.normalised)
            case _:
                forms = composed(self.normalised)
        if forms == (given,) and given.isascii():  # nearly always
            return forms if given.strip() else ()
        spelled = dict.fromkeys((self.normalised, given, *forms, *composed(given)))
        return tuple(value for value in spelled if value.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """The keyed pseudonym of one identity: ``h<key version>_<43 characters of base64url>``."""

    kind: IdentityKind
    value: str


def is_handle(text: str) -> bool:
    """Whether a text has the form of a handle."""
    return _HANDLE.fullmatch(text) is not None


def check_handles(handles: tuple[Handle, ...], subject_id: str) -> None:
    """Check that handles are pseudonyms and that the first is the subject.

    Raises:
        Refused: ``BAD_HANDLE``, naming the field.
    """
    if not 1 <= len(handles) <= HANDLES_MAX:
        raise Refused(Cause.BAD_HANDLE, field="handles", reason=f"there must be 1 to {HANDLES_MAX} handles")
    if not all(is_handle(handle.value) for handle in handles):
        raise Refused(Cause.BAD_HANDLE, field="handles")
    if handles[0].value != subject_id:
        raise Refused(Cause.BAD_HANDLE, field="subject_id", reason="subject_id is not the first handle")
