"""Erasures with real boxes, and a sink's later looks at them, as the process of the sink has them."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

from key_files import KeyFiles, sealed_task
from schemas.codecs import MemoryRegistry
from sinks.shop import an_erasure, identities

from olvido.broker.contract import Publisher, Record
from olvido.core.looks import LaterLook
from olvido.schemas.codec import looks_codec
from olvido.schemas.privacy.handle_key import HandleKey
from olvido.schemas.topics import LOOKS
from olvido.sinks.contract import LookingAgain, OpenedTask
from olvido.sinks.sweeping import Sweeping


class Boxes:
    """The keys of one region, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._keys = KeyFiles(folder, ("cn",))
        self.private, self._sealer = self._keys.private, self._keys.sealer()
        self._registry = MemoryRegistry("looks")
        self._registry.register(LOOKS.subject, LOOKS.schema)
        self.codec = looks_codec(self._registry)

    def destroy(self) -> None:
        """Destroy the only key; there is another from now on."""
        (self.private / "cn-2026-11.destroyed").touch()
        (self.private / "cn-2026-11.pem").unlink()
        self._keys.add("cn", "2026-12")
        self._sealer = self._keys.sealer()

    def erasure(self, *, generation: int = 0, source_id: UUID | None = None, **person: str) -> OpenedTask:
        """An erasure of whom the keywords name, with real pseudonyms and a box that opens."""
        return self.sealed(an_erasure(generation=generation, source_id=source_id, **person), **person)

    def sealed(self, opened: OpenedTask, **person: str) -> OpenedTask:
        """The same task, with real pseudonyms of whom the keywords name, and a box that opens."""
        handles = tuple(HandleKey(1, bytes(32)).handle(identity) for identity in identities(**person))
        task = replace(opened.task, subject_id=handles[0].value, handles=handles)
        return replace(opened, task=sealed_task(self._sealer, task, identities(**person)))

    def sweeping(self, sink: object, publisher: Publisher, *, every_s: float = 0.0) -> Sweeping:
        """The later looks of a sink."""
        assert isinstance(sink, LookingAgain)
        return Sweeping(
            sink, name="crm", opener=self._keys.opener("cn"),
            sealer=self._keys.sealer("sink-crm"), looks=self.codec,
            publisher=publisher, source="tests", every_s=every_s,
        )  # fmt: skip

    def looks(self, records: list[Record]) -> list[LaterLook]:
        """What was published."""
        assert {(one.topic, one.key) for one in records} <= {(LOOKS.name, b"crm")}
        return [self.codec.decode(one.value) for one in records]
