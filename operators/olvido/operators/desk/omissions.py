"""What a sink's data map leaves out of its live target, each with the line of olvido.toml to mend."""

from dataclasses import dataclass

from olvido.operators.desk.discovering import OpenTarget, seen_in
from olvido.operators.desk.progress import Advance
from olvido.operators.settings import deployment_file
from olvido.schemas.settings.deployment import Deployment, read_toml
from olvido.schemas.settings.lines import line_of
from olvido.sinks.discovery.links import unwritten, written
from olvido.sinks.discovery.mapped import mapped_tables
from olvido.sinks.discovery.omissions import omissions
from olvido.sinks.plugins import settings_of
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


def check(declared: Deployment, target: OpenTarget, *, rows: int, advance: Advance) -> MapCheck:
    """Hold the data map of a sink against its target.

    Args:
        declared: the deployment.
        target: the sink's, opened for reading.
        rows: how many rows of each table to read at most; 0 goes by names and keys alone.
        advance: is called with 1 after each table.

    Raises:
        ConfigError: the data map is wrong in itself.
        InvalidInput: too many rows were asked for.
        Unavailable: the target does not answer any more.
    """
    section = declared.sinks[target.sink]
    settings = settings_of(declared, target.sink)
    data_map = read_data_map(settings, settings.own.get("tables"))
    seen = seen_in(target, rows=rows, advance=advance)
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
