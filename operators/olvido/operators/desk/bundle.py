"""A support bundle: what somebody else needs to see what is wrong here, and nothing of any person.

Every text goes through one function on its way in, wherever it came from. The bundle names what is missing.
"""

import contextlib
import hashlib
import io
import json
import os
import platform
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from olvido.core.errors import InvalidInput, OlvidoError
from olvido.core.redaction import redacted
from olvido.ledger.figures import Figures
from olvido.operators.desk import doctor, health, topics
from olvido.operators.desk.config import Setting, settings
from olvido.operators.desk.data import plain
from olvido.operators.desk.ledger import database
from olvido.operators.settings import deployment, load_stack_env
from olvido.schemas.private_files import write_private
from olvido.schemas.settings.deployment import Secret

LOG_BYTES = 256 * 1024  # of each log, its end
SECRET_LENGTH_MIN = 6  # letters; what is shorter stands in ordinary words as well


def collect(directory: Path, now: datetime) -> dict[str, bytes]:
    """Everything that goes in, by its name in the bundle; the manifest first."""
    load_stack_env(directory)
    secrets = secrets_of(os.environ, named=_named_secrets())
    files: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for name, look in _LOOKS.items():
        try:
            found = look(directory)
        except OlvidoError as error:
            missing[name] = cleaned(str(error), secrets)
            continue
        text = json.dumps(found, default=plain, ensure_ascii=False, indent=2)
        files[f"{name}.json"] = cleaned(text, secrets).encode()
    for log in sorted((directory / ".olvido" / "logs").glob("*.log")):
        files[f"logs/{log.name}"] = cleaned(_end_of(log), secrets).encode()
    manifest = {
        "made_at": now,
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
        "missing": missing,
    }
    return {"manifest.json": json.dumps(manifest, default=plain, indent=2).encode(), **files}


def cleaned(text: str, secrets: Iterable[str]) -> str:
    """A text without the secrets we know, and without what looks like a person or a secret."""
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    return redacted(text)


def secrets_of(environment: Mapping[str, str], *, named: Iterable[str] = ()) -> list[str]:
    """What must stand in no text, the longest first: passwords of our own environment, also of addresses.

    Args:
        environment: its variables.
        named: what the settings read from variables and files that they name, whatever these are called.
    """
    found = set(named)
    for name, value in environment.items():
        if not name.startswith("OLVIDO_"):
            continue
        if name.endswith(("PASSWORD", "SECRET", "TOKEN")):
            found.add(value)
        try:
            password = urlsplit(value).password
        except ValueError:
            continue
        if password:
            found |= {password, unquote(password)}
    return sorted((one for one in found if len(one) >= SECRET_LENGTH_MIN), key=len, reverse=True)


def _named_secrets() -> list[str]:
    """Each secret that olvido.toml names, where it is at hand."""
    try:
        written = deployment().model_dump()
    except OlvidoError:
        return []  # the bundle says what is wrong with it
    found = []
    for secret in _named_in(written):
        with contextlib.suppress(OlvidoError):
            found.append(secret.read(key="of a support bundle"))
    return found


def _named_in(written: Any) -> Iterator[Secret]:  # noqa: ANN401 - what a TOML file holds
    if not isinstance(written, Mapping):
        return
    if written and written.keys() <= Secret.model_fields.keys():
        with contextlib.suppress(ValueError):
            yield Secret.model_validate(written)
        return
    for value in written.values():
        yield from _named_in(value)


def write(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the bundle, readable by its owner alone. A crash leaves no half of it.

    Raises:
        InvalidInput: there is such a file already, or it cannot be written.
    """
    if path.exists():
        raise InvalidInput("to", f"{path} is there already; name another file")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as bundle:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"olvido-support/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(datetime.now(UTC).timestamp())
            bundle.addfile(entry, io.BytesIO(content))
    try:
        write_private(path, packed.getvalue())
    except OSError as error:
        raise InvalidInput("to", f"{path} cannot be written: {error.strerror}") from None


def _versions(_directory: Path) -> dict[str, Any]:
    return {
        "python": sys.version,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": dict(sorted((one.metadata["Name"], one.version) for one in distributions())),
    }


def _config(_directory: Path) -> tuple[Setting, ...]:
    return settings()


def _topics(_directory: Path) -> list[str]:
    return list(map(str, topics.differences(deployment())))


def _acts(_directory: Path) -> list[Mapping[str, Any]]:
    """Verbs and counts: reasons and names of operators are nobody else's business."""
    return Figures(database(deployment())).acts_by_verb()


_LOOKS: dict[str, Callable[[Path], Any]] = {
    "versions": _versions,
    "config": _config,
    "doctor": doctor.examine,
    "status": health.overall,
    "topics-diff": _topics,
    "acts": _acts,
}


def _end_of(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_BYTES))
        text = file.read().decode(errors="replace")
    # The first line is cut somewhere, and what is cut may no longer look like what must not be read.
    return text if len(text) < LOG_BYTES else text.partition("\n")[2]
