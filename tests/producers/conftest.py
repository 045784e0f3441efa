"""Keys, and a producer on each kind of broker."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from key_files import KeyFiles
from schemas.codecs import MemoryRegistry

from olvido.broker.memory import MemoryBroker
from olvido.producers import Producer
from olvido.producers.build import Builder
from olvido.producers.emitter import Writer
from olvido.schemas.privacy.handle_key import HandleKey, create_handle_key
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Connections, KafkaSection, KeysSection, RegistrySection
from olvido.schemas.topics import CONSENTS, REQUESTS, VERIFICATIONS

PURPOSES = ("analytics", "marketing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The files that a producer is given, and the private ones that it is not."""

    section: KeysSection
    files: KeyFiles

    def opener(self, region: str) -> Opener:
        return self.files.opener(region)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    create_handle_key(folder / "handle.key")
    files = KeyFiles(folder)
    section = KeysSection(
        handle_file=folder / "handle.key", public_dir=files.public, signing_file=files.signing_file()
    )
    return Keys(section=section, files=files)


@pytest.fixture(scope="session")
def builder(keys: Keys) -> Builder:
    return Builder(
        handle_key=HandleKey.load(keys.section.handle_file),
        sealer=keys.files.sealer(),
        purposes=PURPOSES,
    )


@pytest.fixture
def memory_registry() -> Registry:
    registry = MemoryRegistry("producers")
    for topic in (REQUESTS, CONSENTS, VERIFICATIONS):
        registry.register(topic.subject, topic.schema)
    return registry


@pytest.fixture
def writer(builder: Builder, memory_registry: Registry) -> Writer:
    return Writer(builder, memory_registry, source="shop")


@pytest.fixture
def memory() -> MemoryBroker:
    return MemoryBroker.of((REQUESTS, CONSENTS, VERIFICATIONS), KafkaSection())


@pytest.fixture
def producer(writer: Writer, memory: MemoryBroker) -> Iterator[Producer]:
    with Producer(writer, memory) as producer:
        yield producer


@pytest.fixture
def connections(kafka_section: KafkaSection, registry: Registry, keys: Keys) -> Connections:
    """As an upstream service would read them from its environment."""
    return Connections(
        kafka=kafka_section, registry=RegistrySection(url=registry.url), keys=keys.section, source="shop"
    )
