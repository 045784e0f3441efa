"""What reads a sink's target, by the kind of the sink."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from olvido.core.errors import InvalidInput
from olvido.schemas.settings.deployment import Secret
from olvido.sinks.contract import SinkSettings
from olvido.sinks.discovery.live import TargetReader
from olvido.sinks.section import fault, read_part


class _Address(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Dsn(_Address):
    dsn: Secret


class _Url(_Address):
    url: Secret


class _File(_Address):
    file: Secret


def reader_of(kind: str, settings: SinkSettings) -> TargetReader:
    """Make what reads the target of a sink. Nothing is connected yet.

    Raises:
        InvalidInput: a target of this kind has no tables that could be read.
        ConfigError: its address is not given.
    """
    if kind not in _READERS:
        raise InvalidInput(
            "sink", f"is a sink of kind {kind!r}; tables are read of: {', '.join(sorted(_READERS))}"
        )
    return _READERS[kind](settings)


def _postgres(settings: SinkSettings) -> TargetReader:
    from olvido.sinks.discovery.postgres_reader import PostgresReader

    section = read_part(_Dsn, dict(settings.own), place=f"sinks.{settings.name}")
    return PostgresReader(settings.name, section.dsn.read(key=f"sinks.{settings.name}.dsn"))


def _duckdb(settings: SinkSettings) -> TargetReader:
    from olvido.sinks.discovery.duckdb_reader import DuckDBReader

    return DuckDBReader(settings.name, _file(settings))


def _sqlite(settings: SinkSettings) -> TargetReader:
    from olvido.sinks.discovery.sqlite_reader import SqliteReader

    return SqliteReader(settings.name, _file(settings))


def _mysql(settings: SinkSettings) -> TargetReader:
    place = f"sinks.{settings.name}"
    try:
        from olvido.sinks.discovery.mysql_reader import MySQLReader
        from olvido.sinks.kinds.mysql_address import Address
    except ModuleNotFoundError as error:
        raise fault(f"{place}.kind", f"needs {error.name}: pip install 'olvido[mysql]'") from None
    section = read_part(_Url, dict(settings.own), place=place)
    try:
        address = Address.of(section.url.read(key=f"{place}.url"))
    except ValueError as error:
        raise fault(f"{place}.url", str(error)) from None
    return MySQLReader(settings.name, address)


def _file(settings: SinkSettings) -> Path:
    section = read_part(_File, dict(settings.own), place=f"sinks.{settings.name}")
    return Path(section.file.read(key=f"sinks.{settings.name}.file"))


_READERS: Mapping[str, Callable[[SinkSettings], TargetReader]] = {
    "postgres": _postgres,
    "duckdb": _duckdb,
    "sqlite": _sqlite,
    "mysql": _mysql,
}
