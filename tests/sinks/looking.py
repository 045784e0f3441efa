"""Erasures with real boxes, and a sink's later looks at them, as the process of the sink has them."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

from schemas.codecs import MemoryRegistry
from sinks.shop import an_erasure, identities

from olvido.broker.contract import Publisher, Record
from olvido.core.looks import LaterLook
from olvido.schemas.codec import looks_codec
from olvido.schemas.privacy.handle_key import HandleKey
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.privacy.region_keys import create_region_key
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.topics import LOOKS
from olvido.sinks.contract import LookingAgain, OpenedTask
from olvido.sinks.sweeping import Sweeping


class Boxes:
    """The keys of one region, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.private, self._public = folder / "private", folder / "public"
        self._new_epoch("2026-11")
        self._registry = MemoryRegistry("looks")
        self._registry.register(LOOKS.subject, LOOKS.schema)
        self.codec = looks_codec(self._registry)

    def _new_epoch(self, epoch: str) -> None:
        create_region_key("cn", epoch, public_dir=self._public, private_dir=self.private)
        self._sealer = Sealer(self._public)

    def destroy(self) -> None:
        """Destroy the only key; there is another from now on."""
        (self.private / "cn-2026-11.destroyed").touch()
        (self.private / "cn-2026-11.pem").unlink()
        self._new_epoch("2026-12")

    def erasure(self, *, generation: int = 0, source_id: UUID | None = None, **person: str) -> OpenedTask:
        """An erasure of whom the keywords name, with real pseudonyms and a box that opens."""
        opened = an_erasure(generation=generation, source_id=source_id, **person)
        handles = tuple(HandleKey(1, bytes(32)).handle(identity) for identity in identities(**person))
        task = replace(opened.task, subject_id=handles[0].value, handles=handles)
        box = self._sealer.seal(
            identities(**person), region="cn", source_id=task.source_id, subject_id=task.subject_id
        )
        return replace(opened, task=replace(task, box=box))

    def sweeping(self, sink: object, publisher: Publisher, *, every_s: float = 0.0) -> Sweeping:
        """The later looks of a sink."""
        assert isinstance(sink, LookingAgain)
        return Sweeping(
            sink, name="crm", opener=Opener("cn", self.private), looks=self.codec, publisher=publisher,
            source="tests", every_s=every_s,
        )  # fmt: skip

    def looks(self, records: list[Record]) -> list[LaterLook]:
        """What was published."""
        assert {(one.topic, one.key) for one in records} <= {(LOOKS.name, b"crm")}
        return [self.codec.decode(one.value) for one in records]
