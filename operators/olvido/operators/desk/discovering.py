"""A live target read: what a data map for it could be, and by what evidence. Nothing is written there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from olvido.core.errors import InvalidInput
from olvido.operators.desk.faults import check_declared
from olvido.operators.desk.progress import Advance
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.discovery.evidence import SeenTable
from olvido.sinks.discovery.links import of_types, unwritten
from olvido.sinks.discovery.live import LiveTable, TargetReader
from olvido.sinks.discovery.looking import look_at
from olvido.sinks.discovery.proposal import Proposal, propose
from olvido.sinks.discovery.readers import reader_of
from olvido.sinks.discovery.writing import toml_of
from olvido.sinks.plugins import settings_of

ROWS_MAX = 10_000  # of each table: more proves nothing more, and reads more of people


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTarget:
    """A sink's target, opened for reading alone."""

    sink: str
    reader: TargetReader
    tables: tuple[LiveTable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalColumn:
    """One column that looks personal, and why."""

    table: str
    column: str
    type: str
    holds: str
    by: str  # name, samples, or both
    evidence: str
    in_map: bool  # whether its table is in the map that is proposed


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What was found in a target."""

    sink: str
    tables: int
    identities: tuple[str, ...]  # the kinds that the map can be searched by
    undecided: tuple[str, ...]  # the tables whose erasure a person must decide
    columns: tuple[PersonalColumn, ...]
    toml: str  # the map, with comments


@contextmanager
def opened(declared: Deployment, name: str) -> Iterator[OpenTarget]:
    """Open the target of a sink for reading, and read its catalogue.

    Raises:
        InvalidInput: there is no such sink, or its target has no tables that could be read.
        ConfigError: its address is not given.
        Unavailable: it does not answer.
    """
    check_declared(name, declared.sinks)
    reader = reader_of(declared.sinks[name].kind, settings_of(declared, name))
    try:
        yield OpenTarget(sink=name, reader=reader, tables=tuple(reader.tables()))
    finally:
        reader.close()


def seen_in(target: OpenTarget, *, rows: int, advance: Advance) -> list[SeenTable]:
    """Judge every column of every table of a target.

    Args:
        target: what to read.
        rows: how many rows of each table to read at most; 0 goes by names and keys alone.
        advance: is called with 1 after each table.

    Raises:
        InvalidInput: too many rows were asked for.
        Unavailable: the target does not answer any more.
    """
    if not 0 <= rows <= ROWS_MAX:
        raise InvalidInput("rows", f"is from 0 to {ROWS_MAX:,}")
    return look_at(target.reader, target.tables, rows=rows, advance=advance)


def discover(declared: Deployment, target: OpenTarget, seen: Sequence[SeenTable], *, rows: int) -> Discovery:
    """Propose a data map for a target.

    Args:
        declared: the deployment.
        target: what was looked at, still open: columns that point without a foreign key are tried there.
        seen: what :func:`seen_in` saw.
        rows: how many rows of each table were read at most; 0 goes by names and keys alone.

    Raises:
        Unavailable: the target does not answer any more.
    """
    guessed = [*unwritten(target.reader, seen), *of_types(target.reader, seen)] if rows else []
    proposal = propose(target.sink, seen, guessed)
    return Discovery(
        sink=target.sink,
        tables=len(seen),
        identities=tuple(kind.value for kind in proposal.kinds),
        undecided=proposal.undecided,
        columns=tuple(_columns(seen, proposal)),
        toml=toml_of(proposal, declared=declared.sinks[target.sink].identities, rows=rows),
    )


def _columns(seen: Sequence[SeenTable], proposal: Proposal) -> Iterator[PersonalColumn]:
    mapped = {table.name for table in proposal.tables}
    for one in seen:
        for name, evidence in one.evidence.items():
            yield PersonalColumn(
                table=one.table.name,
                column=name,
                type=one.table.by_name[name].type,
                holds=evidence.personal.value,
                by=evidence.basis.value,
                evidence=evidence.text,
                in_map=one.table.name in mapped,
            )
