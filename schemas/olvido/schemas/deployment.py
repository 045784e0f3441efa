"""How a deployment is written: olvido.toml, with the environment above it.

Order: environment (``OLVIDO_KAFKA__BOOTSTRAP_SERVERS``), then olvido.toml, then defaults.
A secret is never written in olvido.toml but named there: ``{ env = "NAME" }`` or
``{ file = "path" }``.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.errors import ConfigError
from olvido.core.events import Right
from olvido.core.subject import IdentityKind

FILE_NAME = "olvido.toml"
NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
RESERVED_SINK_NAMES = frozenset({"processors", "recorder", "relay", "kafka", "registry", "postgres"})


S = TypeVar("S", bound=BaseSettings)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSection(_Section):
    """Where the broker is, and any librdkafka option (security, for example) by its own name."""

    bootstrap_servers: str = Field(default="127.0.0.1:9092", min_length=1)
    options: dict[str, str] = Field(default_factory=dict)
    replication_factor: int = Field(default=1, ge=1)


class RegistrySection(_Section):
    """Where the schema registry is."""

    url: str = Field(default="http://127.0.0.1:8081/apis/ccompat/v7", pattern=r"^https?://")


class KeysSection(_Section):
    """Where the keys are. Producers get the first two; only a region's sinks get its private ones."""

    handle_file: Path = Path(".olvido/keys/handle.key")
    public_dir: Path = Path(".olvido/keys/public")
    private_dir: Path | None = None


class Secret(_Section):
    """The name of a secret, and never the secret."""

    env: str | None = None
    file: Path | None = None

    def read(self, *, key: str) -> str:
        """The secret itself.

        Args:
            key: the setting it is for, to name in the error.

        Raises:
            ConfigError: the variable is not set, or the file cannot be read.
        """
        if self.env is not None:
            value = os.environ.get(self.env)
            if not value:
                raise ConfigError(f"{FILE_NAME}: {key}: the environment variable {self.env} is not set")
            return value
        if self.file is not None:
            try:
                return self.file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{FILE_NAME}: {key}: cannot read {self.file}: {error.strerror}") from None
        raise ConfigError(f'{FILE_NAME}: {key}: give {{ env = "NAME" }} or {{ file = "path" }}')


class LedgerSection(_Section):
    """The ledger database. Only processors, the recorder and operators are given its address."""

    dsn: str | None = None


class VerificationSection(_Section):
    """The rights for which it must be verified that it is really the person."""

    required_for: tuple[Right, ...] = ()


class ReconcilerSection(_Section):
    """How soon a task without a receipt is sent again, at first; the delay doubles."""

    first_after_s: float = Field(default=60.0, gt=0)
    every_s: float = Field(default=10.0, gt=0)


class SinkSection(BaseModel):
    """What every sink declares; the rest belongs to its kind."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str
    region: str
    identities: tuple[IdentityKind, ...] = Field(min_length=1)
    purposes: tuple[str, ...] = ()

    @property
    def own(self) -> Mapping[str, Any]:
        """What only its kind understands."""
        return self.__pydantic_extra__ or {}


class Connections(BaseSettings):
    """What an upstream service needs: broker, registry and the keys that seal."""

    model_config = SettingsConfigDict(
        env_prefix="OLVIDO_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    kafka: KafkaSection = KafkaSection()
    registry: RegistrySection = RegistrySection()
    keys: KeysSection = KeysSection()
    identity_order: tuple[IdentityKind, ...] = tuple(IdentityKind)
    source: str = "olvido"  # the CloudEvents source of what this process emits

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over what olvido.toml says (which comes as init arguments)."""
        return env_settings, init_settings

    @classmethod
    def from_env(cls) -> Self:
        """Read the environment.

        Raises:
            ConfigError: naming the variable and what is wrong with it.
        """
        return _validated(cls, {}, "the environment")


class Deployment(Connections):
    """All of olvido.toml."""

    model_config = SettingsConfigDict(
        env_prefix="OLVIDO_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    ledger: LedgerSection = LedgerSection()
    regions: tuple[str, ...] = Field(min_length=1)
    purposes: tuple[str, ...] = Field(min_length=1)
    verification: VerificationSection = VerificationSection()
    reconciler: ReconcilerSection = ReconcilerSection()
    sinks: dict[str, SinkSection] = Field(min_length=1)

    @field_validator("sinks")
    @classmethod
    def _names(cls, sinks: dict[str, SinkSection]) -> dict[str, SinkSection]:
        for name in sinks:
            if not re.fullmatch(NAME, name) or len(name) > 40 or name in RESERVED_SINK_NAMES:
                raise ValueError(
                    f"{name!r} cannot be a sink's name: small letters, digits and single dashes, at most 40, "
                    f"and none of {', '.join(sorted(RESERVED_SINK_NAMES))}"
                )
        return sinks

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read olvido.toml from the working directory, or from ``path``.

        Raises:
            ConfigError: naming file, key and the fix.
        """
        path = path or Path(os.environ.get("OLVIDO_CONFIG", FILE_NAME))
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(
                f"{path} is not there; run olvido in the folder that holds it, or set OLVIDO_CONFIG"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}") from None
        deployment = _validated(cls, content, str(path))
        deployment.check(path)
        return deployment

    def check(self, path: Path) -> None:
        """Check what one key says against another.

        Raises:
            ConfigError: a sink names a region or purpose that is not declared.
        """
        for name, sink in self.sinks.items():
            if sink.region not in self.regions:
                raise ConfigError(
                    f"{path}: sinks.{name}.region: {sink.region!r} is not one of regions"
                    f"{_did_you_mean(sink.region, self.regions)}"
                )
            unknown = sorted(set(sink.purposes) - set(self.purposes))
            if unknown:
                raise ConfigError(
                    f"{path}: sinks.{name}.purposes: {unknown[0]!r} is not one of purposes"
                    f"{_did_you_mean(unknown[0], self.purposes)}"
                )

    @property
    def catalogue(self) -> Catalogue:
        """What planning looks up."""
        return Catalogue(
            regions=frozenset(self.regions),
            purposes=frozenset(self.purposes),
            sinks=tuple(
                SinkEntry(
                    name=name,
                    region=sink.region,
                    identities=frozenset(sink.identities),
                    purposes=frozenset(sink.purposes),
                )
                for name, sink in self.sinks.items()
            ),
            verification_required=frozenset(self.verification.required_for),
        )

    @property
    def ledger_dsn(self) -> str:
        """The ledger's address.

        Raises:
            ConfigError: it is not given.
        """
        if not self.ledger.dsn:
            raise ConfigError("ledger.dsn is not set: give OLVIDO_LEDGER__DSN, or run: olvido up")
        return self.ledger.dsn


def _validated(cls: type[S], content: dict[str, Any], origin: str) -> S:
    try:
        return cls(**content)
    except SettingsError as error:
        # A list or table in the environment must be JSON; the message names the field, not the value.
        raise ConfigError(f"the environment: {error}; lists are written as JSON there") from None
    except ValidationError as error:
        # A key that is misspelt explains the one that is missing: it is told first.
        told = error.errors(include_input=False, include_url=False)
        first = min(told, key=lambda one: one["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        hint = ""
        if first["type"] == "extra_forbidden":
            hint = _did_you_mean(str(first["loc"][-1]), _fields_at(cls, first["loc"][:-1]))
            raise ConfigError(f"{origin}: {key}: there is no such key{hint}") from None
        raise ConfigError(f"{origin}: {key or 'the file'}: {first['msg']}") from None


def _fields_at(cls: type[BaseModel], path: tuple[int | str, ...]) -> tuple[str, ...]:
    model: Any = cls
    for part in path:
        field = model.model_fields.get(str(part)) if hasattr(model, "model_fields") else None
        model = field.annotation if field is not None else None
    return tuple(getattr(model, "model_fields", {}))


def _did_you_mean(word: str, words: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {close[0]!r}?" if close else f" (there are: {', '.join(sorted(words)) or 'none'})"
