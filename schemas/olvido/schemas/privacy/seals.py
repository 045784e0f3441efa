"""The reader's side of seals: who wrote a record, whether it may say that, and that nobody changed it."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused
from olvido.core.events import ConsentChange, PrivacyRequest, Seal, Verification
from olvido.core.ids import task_id
from olvido.core.looks import LaterLook
from olvido.core.principals import Principal, PrincipalKey, Principals, Role
from olvido.core.receipts import Receipt
from olvido.core.sessions import CONTROL, SignedSession, check_asked_at, check_begun, check_form
from olvido.core.tasks import Task
from olvido.schemas.privacy.opening import Forgotten, Opener
from olvido.schemas.privacy.principal_keys import KeyRing, released_bytes, signed_bytes
from olvido.schemas.privacy.sealing import record_binding
from olvido.schemas.sealed_records import KINDS, Sealed, body_in, session_in
from olvido.schemas.settings.deployment import Deployment

SESSIONS_MAX = 10_000  # half a kilobyte each


@dataclass(frozen=True, slots=True)
class _Known:
    """A session whose form and signature were found good."""

    session: SignedSession
    regions: frozenset[str]


class Seals:
    """Checks what principals wrote. Safe to share between threads."""

    def __init__(
        self,
        principals: Principals,
        keys: KeyRing,
        *,
        accept_unsigned_until: datetime,
        on_unsigned: Callable[[], object] = lambda: None,
    ) -> None:
        """
        Args:
            principals: those that are declared, by name.
            keys: their public keys.
            accept_unsigned_until: until when unsigned records are accepted.
            on_unsigned: called for each such record, so that it is counted.
        """
        self._principals = principals
        self._keys = keys
        self._accept_unsigned_until = accept_unsigned_until
        self._on_unsigned = on_unsigned
        self._sessions: OrderedDict[tuple[bytes, bytes], _Known] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, deployment: Deployment, *, on_unsigned: Callable[[], object]) -> "Seals":
        """With the principals and keys that a deployment declares."""
        return cls(
            deployment.all_principals,
            KeyRing(deployment.keys.public_dir, deployment.declared_keys),
            accept_unsigned_until=deployment.unsigned_until,
            on_unsigned=on_unsigned,
        )

    def check_task(self, task: Task, now: datetime) -> None:
        """Check that the principal of a task's event may ask for the task. Opening its box proves the rest.

        Raises:
            Refused: one of the causes about a principal.
        """
        if task.seal is None:
            return self._unsigned(now)
        known, principal = self._signed(task.seal, revoked_before=None)
        check_asked_at(known.session, task.occurred_at)
        principal.check_asks(task, known.regions)
        # No seal is over it, but it follows from what is sealed: under another the same would be done twice.
        if task.task_id != task_id(task.source_id, task.sink, task.action.value):
            raise Refused(Cause.CANNOT_OPEN, field="task_id", reason="it is not that of what is asked")
        return None

    def is_released(self, task: Task) -> bool:
        """Whether a desk signed that nothing limits this task, with a key that is not revoked."""
        release = task.release
        if release is None:
            return False
        principal = self._principals.get(release.principal)
        key = self._keys.key(release.principal, release.key_id)
        if principal is None or principal.role is not Role.DESK or key is None or key.revoked_at is not None:
            return False
        return _is_signed(released_bytes(task.task_id, task.generation), release.signature, key)

    def _signed(self, seal: Seal, *, revoked_before: datetime | None) -> tuple[_Known, Principal]:
        """The session of a seal, and its principal.

        Args:
            seal: of a record or task.
            revoked_before: now, where the record has just come; None where it may have come long ago, and
                only a session that began after the revocation is refused.
        """
        known = self._known(seal)
        session = known.session
        principal = self._principals.get(session.principal)
        key = self._keys.key(session.principal, session.key_id)
        if principal is None or key is None:
            raise Refused(Cause.UNKNOWN_PRINCIPAL, field="seal.header")
        if key.revoked_at is not None and (revoked_before or session.not_before) >= key.revoked_at:
            raise Refused(Cause.REVOKED_KEY, field="seal.header.key_id")
        return known, principal

    def _known(self, seal: Seal) -> _Known:
        named = (seal.header, seal.signature)
        with self._lock:
            found = self._sessions.get(named)
            if found is not None:
                self._sessions.move_to_end(named)
                return found
        session = session_in(seal.header)
        check_form(session)
        key = self._keys.key(session.principal, session.key_id)
        if key is None:
            raise Refused(Cause.UNKNOWN_PRINCIPAL, field="seal.header")
        if not _is_signed(signed_bytes(seal.header), seal.signature, key):
            raise Refused(Cause.BAD_SIGNATURE, field="seal.signature")
        known = _Known(session, frozenset(session.regions))
        with self._lock:
            self._sessions[named] = known
            if len(self._sessions) > SESSIONS_MAX:
                self._sessions.popitem(last=False)
        return known

    def _unsigned(self, now: datetime) -> None:
        if now >= self._accept_unsigned_until:
            raise Refused(Cause.UNSIGNED, field="seal")
        self._on_unsigned()


class ControlSeals(Seals):
    """The same for processors and recorder, which hold the control plane's key."""

    def __init__(
        self,
        principals: Principals,
        keys: KeyRing,
        control: Opener,
        *,
        accept_unsigned_until: datetime,
        on_unsigned: Callable[[], object] = lambda: None,
    ) -> None:
        """
        Args:
            control: opens what is sealed to the control plane.
            principals, keys, accept_unsigned_until, on_unsigned: see :class:`Seals`.
        """
        super().__init__(
            principals, keys, accept_unsigned_until=accept_unsigned_until, on_unsigned=on_unsigned
        )
        self._control = control

    @classmethod
    def of_control(
        cls, deployment: Deployment, private_dir: Path | None, *, on_unsigned: Callable[[], object]
    ) -> "ControlSeals":
        """With the principals and keys that a deployment declares, and the control plane's private keys.

        Raises:
            ConfigError: there is no folder of private keys, or none of the control plane's is in it.
        """
        if private_dir is None:
            raise ConfigError(
                "keys.private_dir is not set: processors and recorder need the private keys of the control "
                "plane; give OLVIDO_KEYS__PRIVATE_DIR"
            )
        return cls(
            deployment.all_principals,
            KeyRing(deployment.keys.public_dir, deployment.declared_keys),
            Opener(CONTROL, private_dir),
            accept_unsigned_until=deployment.unsigned_until,
            on_unsigned=on_unsigned,
        )

    def check_source(self, source: PrivacyRequest | ConsentChange, data: bytes, now: datetime) -> None:
        """Check that a principal has asked for just this, and may ask for it.

        Args:
            source: a request or a consent change.
            data: the record that it was read from.
            now: our clock.

        Raises:
            Refused: one of the causes about a principal; ``CANNOT_OPEN`` where the record was altered.
        """
        if source.seal is None:
            return self._unsigned(now)
        known, principal = self._sealed(source, source.seal, data, now)
        check_asked_at(known.session, _at(source))
        if known.regions != set(source.regions):
            raise Refused(Cause.CANNOT_OPEN, field="regions", reason="they are not those of the session")
        principal.check_asks(source, known.regions)
        return None

    def may_verify(self, request: PrivacyRequest) -> bool:
        """Whether what a request says of its own verification counts. The request was found good."""
        if request.seal is None:
            return True  # accepted as before there were seals, for as long as it is accepted at all
        principal = self._principals.get(session_in(request.seal.header).principal)
        return principal is not None and principal.may_verify

    def check_verification(self, verification: Verification, data: bytes, now: datetime) -> None:
        """Check that the principal that verifies may do so.

        Raises:
            Refused: see :meth:`check_source`.
        """
        if verification.seal is None:
            return self._unsigned(now)
        known, principal = self._sealed(verification, verification.seal, data, now)
        check_asked_at(known.session, verification.verified.verified_at)
        principal.check_verifies()
        return None

    def check_receipt(self, receipt: Receipt, data: bytes, now: datetime) -> None:
        """Check that the principal that answers may answer for that sink.

        Raises:
            Refused: see :meth:`check_source`.
        """
        if receipt.seal is None:
            return self._unsigned(now)
        # The sink did it long ago, or dates it by the target's clock: that proves nothing of its session.
        _, principal = self._sealed(receipt, receipt.seal, data, now)
        principal.check_answers(receipt.sink, receipt.outcome)
        return None

    def check_look(self, look: LaterLook, data: bytes, now: datetime) -> None:
        """Check that the principal of a later look may answer for that sink.

        Raises:
            Refused: see :meth:`check_source`.
        """
        if look.seal is None:
            return self._unsigned(now)
        _, principal = self._sealed(look, look.seal, data, now)
        principal.check_answers(look.sink, None)
        return None

    def _sealed(self, value: Sealed, seal: Seal, data: bytes, now: datetime) -> tuple[_Known, Principal]:
        known, principal = self._signed(seal, revoked_before=now)
        check_begun(known.session, now)
        binding = record_binding(KINDS[type(value)], seal.header, body_in(data, seal))
        try:
            cipher = self._control.cipher(known.session.recipient(CONTROL))
            nothing = cipher.decrypt(seal.nonce, seal.tag, binding)
        except (InvalidTag, ValueError, Forgotten):
            raise Refused(Cause.CANNOT_OPEN, field="seal.tag") from None
        if nothing:
            raise Refused(Cause.CANNOT_OPEN, field="seal.tag", reason="there is something in it")
        return known, principal


def _is_signed(content: bytes, signature: bytes, key: PrincipalKey) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _at(source: PrivacyRequest | ConsentChange) -> datetime:
    return source.requested_at if isinstance(source, PrivacyRequest) else source.occurred_at
