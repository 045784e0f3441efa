"""One schema registry for all workers of a run: every stack has the same schemas under the same subjects.

A registry takes 7 s of CPU until it has them. The first worker that needs it starts it; it ends with the
process that started the workers.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from olvido.core.catalogue import Catalogue
from olvido.operators.local.locks import locked
from olvido.operators.local.marked import this_process
from olvido.operators.local.stack import down, up
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import RegistrySection
from olvido.schemas.topics import topics_of

FOLDER = pytest.StashKey[Path]()
GIVEN = "one registry"


class AskedOnce(Registry):
    """Asks a real registry, and remembers the ids that it gave: no test takes a schema back.

    Each test makes its codecs anew, and a question takes 10 ms of CPU with the registry and its database.
    """

    def __init__(self, where: RegistrySection) -> None:
        super().__init__(where)
        self._found: dict[tuple[str, str], int] = {}

    def find(self, subject: str, text: str) -> int | None:
        if (subject, text) not in self._found:
            found = super().find(subject, text)
            if found is None:
                return None
            self._found[subject, text] = found
        return self._found[subject, text]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRegistry:
    """Where it is."""

    url: str
    logs: Path


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker the folder that all share, and who they are started by."""
    stash = node.config.stash
    if FOLDER not in stash:
        stash[FOLDER] = Path(tempfile.mkdtemp(prefix="olvido-"))
    node.workerinput[GIVEN] = (str(stash[FOLDER]), this_process())


@pytest.hookimpl(specname="pytest_unconfigure")
def pytest_end_the_one_registry(config: pytest.Config) -> None:
    """Stop it after the last worker, and delete what it held."""
    folder = config.stash.get(FOLDER, None)
    if folder is not None:
        down(folder, purge=True)
        shutil.rmtree(folder, ignore_errors=True)


def one_registry(config: pytest.Config, environ: dict[str, str], catalogue: Catalogue) -> OneRegistry | None:
    """The registry of all workers, started if none has needed it yet; None where there are no workers.

    Args:
        config: of this worker.
        environ: where downloads are, and come from.
        catalogue: whose schemas it has. Workers that registered one at the same time could be refused.
    """
    given = getattr(config, "workerinput", {}).get(GIVEN)
    if given is None:
        return None
    folder, owner = given
    stack = up(Path(folder), parts=frozenset({"registry"}), environ=environ, usual_ports=False, owner=owner)
    with locked(Path(folder) / "schemas.lock", what="the schemas of the tests' registry"):
        registered = Path(folder) / "registered"
        if not registered.exists():
            registry = Registry(RegistrySection(url=stack.registry_url))
            for topic in topics_of(catalogue):
                registry.register(topic.subject, topic.schema)
            registered.touch()
    return OneRegistry(url=stack.registry_url, logs=stack.folder.logs)
