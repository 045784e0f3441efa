"""Every place that must name nobody, as bytes."""

import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg2
from leaks.stage import Stage

from shop.leaks import log_bytes
from shop.segments import segment_bytes
from shop.systems import dump_database

Part = tuple[str, bytes]  # where, and what stands there
PAGE = 8192
STAMP = 10  # bytes a page begins with: its place in the WAL and its checksum, which differ in each copy
RELATION = re.compile(r"(base/\d+|global)/\d+(_[a-z]+)?(\.\d+)?")  # nothing in it goes on over a page's end


def places(stage: Stage, folder: Path) -> Mapping[str, Iterator[Part]]:
    """All of it, by place. PostgreSQL's files are those of the ledger's server: heap, WAL and all.

    Args:
        stage: what played.
        folder: where the play left files.
    """
    stack = stage.chain.stack
    return {
        "Kafka": segment_bytes(stack.folder.path / "kafka"),
        "ledger": _ledger(stage),
        "logs": log_bytes([stack.folder.logs]),
        "metrics": iter(stage.pages),
        "traces": ((f"export {number}", body) for number, body in enumerate(stage.collector.came)),
        "bundles": _unpacked(stage),
        "commands": iter(stage.said),
        "tracebacks": iter(stage.tracebacks),
        "outbox": iter([("outbox", (folder / "outbox").read_bytes())]),
        # What the processes were started with, and what they keep beside the parts' data.
        "settings": _small_files(stack.folder.path),
    }


def _ledger(stage: Stage) -> Iterator[Part]:
    """The server's files; and its tables as text, where no packing of long values hides anything."""
    admin = stage.chain.stack.admin_dsn()
    connection = psycopg2.connect(admin)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("checkpoint")  # what is in memory alone
        cursor.execute("show data_directory")
        data = Path(cursor.fetchone()[0])
    connection.close()
    seen: set[bytes] = set()
    for path in sorted(data.rglob("*")):
        try:
            if path.is_file():
                where, content = str(path.relative_to(data)), path.read_bytes()
                yield where, _unseen(content, seen) if RELATION.fullmatch(where) else content
        except FileNotFoundError:
            continue  # a segment of the WAL that was taken for a new one just now
    yield from dump_database(stage.chain.stack.ledger_owner_dsn)


def _unseen(content: bytes, seen: set[bytes]) -> bytes:
    """The pages that no file before had: each database begins as a copy of the same one, seven megabytes."""
    pages = {content[at + STAMP : at + PAGE]: content[at : at + PAGE] for at in range(0, len(content), PAGE)}
    new = pages.keys() - seen
    seen |= new
    return b"".join(page for body, page in pages.items() if body in new)


def _unpacked(stage: Stage) -> Iterator[Part]:
    for path in stage.bundles:
        with tarfile.open(path) as bundle:
            for member in bundle.getmembers():
                file = bundle.extractfile(member)
                if file is not None:
                    yield f"{path.name}/{member.name}", file.read()


def _small_files(folder: Path) -> Iterator[Part]:
    for path in sorted(folder.glob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()
