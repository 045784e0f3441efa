"""Sealed boxes without the cost of sealing: a box holds a number, and the vault what it stands for.

It keeps what sealing promises: a box opens for its region, its event and its subject alone, and
never again once the key of its epoch is destroyed. No bytes of an identity are in a box.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from simulation.process import Process

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import SealedBox
from olvido.core.receipts import Receipt
from olvido.core.subject import Identity
from olvido.core.tasks import Task
from olvido.schemas.privacy.opening import Forgotten

Content = tuple[str, str, UUID, str, tuple[Identity, ...]]  # region, key_id, source, subject, identities


@dataclass
class Vault:
    """Everything that was ever sealed."""

    _contents: dict[bytes, Content] = field(default_factory=dict)
    destroyed: set[str] = field(default_factory=set)

    def seal(
        self,
        rng: random.Random,
        identities: Sequence[Identity],
        *,
        region: str,
        key_id: str,
        source_id: UUID,
        subject_id: str,
    ) -> SealedBox:
        """A box that only this vault can open."""
        token = rng.randbytes(16)
        self._contents[token] = (region, key_id, source_id, subject_id, tuple(identities))
        return SealedBox(
            region=region, key_id=key_id, wrapped_key=b"w" * 8, nonce=b"n" * 12, ciphertext=token
        )

    def contents(self) -> Iterable[Content]:
        """Everything that was ever sealed."""
        return self._contents.values()

    def content(self, box: SealedBox) -> Content | None:
        """What is in a box, whoever asks."""
        return self._contents.get(box.ciphertext)


class OpenerTwin:
    """Opens one region's boxes for one process. Has the face of ``olvido.schemas.privacy.opening.Opener``."""

    def __init__(self, process: Process, vault: Vault, region: str) -> None:
        self._process = process
        self._vault = vault
        self.region = region

    def open(self, box: SealedBox, asked: Task) -> tuple[Identity, ...]:
        source_id, subject_id = asked.source_id, asked.subject_id
        if box.region != self.region or not box.key_id.startswith(f"{self.region}-"):
            raise Refused(Cause.CANNOT_OPEN, field="box.region")
        if box.key_id in self._vault.destroyed:
            raise Forgotten(f"key {box.key_id} is destroyed")
        content = self._vault.content(box)
        if content is None or content[:4] != (self.region, box.key_id, source_id, subject_id):
            raise Refused(Cause.CANNOT_OPEN, field="box.ciphertext")
        self._process.history.note(
            self._process.scheduler.seconds, "opened", self._process.name, content[0], str(source_id)
        )
        return content[4]


class Unsealing:
    """Seals nothing. Has the face of ``olvido.schemas.privacy.sealing.Sealer`` that a runner needs."""

    def sealed(self, receipt: Receipt) -> Receipt:
        return receipt
