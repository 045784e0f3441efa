"""What a sink's data map leaves out of its live target, each with the line of olvido.toml to mend."""

from collections.abc import Sequence
from dataclasses import dataclass

from olvido.operators.desk.discovering import OpenTarget
from olvido.operators.desk.faults import check_declared
from olvido.operators.settings import deployment_file
from olvido.schemas.settings.deployment import Deployment, read_toml
from olvido.schemas.settings.lines import line_of
from olvido.sinks.discovery.evidence import SeenTable
from olvido.sinks.discovery.links import unwritten, written
from olvido.sinks.discovery.mapped import mapped_tables
from olvido.sinks.discovery.omissions import omissions
from olvido.sinks.plugins import settings_of
from olvido.sinks.tables.data_map import DataMap
from olvido.sinks.tables.map_rules import read_data_map


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedOmission:
    """One thing that the map leaves out."""

    omitted: str
    table: str
    column: str
    text: str
    fix: str
    line: int  # of olvido.toml


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCheck:
    """A data map held against its target."""

    sink: str
    tables: int
    unread: tuple[str, ...]  # tables whose rows this role may not read: their names alone were judged
    omissions: tuple[LocatedOmission, ...]


def data_map_of(declared: Deployment, sink: str) -> DataMap:
    """The data map of a sink: whether it is right in itself is known before any row is read.

    Raises:
        InvalidInput: there is no such sink.
        ConfigError: the data map is wrong in itself.
    """
    check_declared(sink, declared.sinks)
    settings = settings_of(declared, sink)
    return read_data_map(settings, settings.own.get("tables"))


def check(
    declared: Deployment, target: OpenTarget, data_map: DataMap, seen: Sequence[SeenTable], *, rows: int
) -> MapCheck:
    """Hold the data map of a sink against its target.

    Args:
        declared: the deployment.
        target: what was looked at, still open: columns that point without a foreign key are tried there.
        data_map: what the sink's section says.
        seen: what is there.
        rows: how many rows of each table were read at most; 0 goes by names and keys alone.

    Raises:
        Unavailable: the target does not answer any more.
    """
    section = declared.sinks[target.sink]
    links = [*written(target.tables), *(unwritten(target.reader, seen) if rows else ())]
    found = omissions(
        mapped_tables(data_map),
        seen,
        links,
        kinds=section.identities,
        excused=section.excused,
        dialect=target.reader.dialect,
    )
    text, _ = read_toml(deployment_file())
    return MapCheck(
        sink=target.sink,
        tables=len(seen),
        unread=tuple(one.table.name for one in seen if one.why_not),
        omissions=tuple(
            LocatedOmission(
                omitted=one.omitted.value,
                table=one.table,
                column=one.column,
                text=one.text,
                fix=one.fix,
                line=line_of(text, ("sinks", target.sink, *one.place)) or 1,
            )
            for one in found
        ),
    )
