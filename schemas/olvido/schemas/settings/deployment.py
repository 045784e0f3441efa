"""How a deployment is written: olvido.toml, with the environment above it.

Order: environment (``OLVIDO_KAFKA__BOOTSTRAP_SERVERS``), then olvido.toml, then the user's own file where a
person is at work, then defaults.
A secret is never written in olvido.toml but named there: ``{ env = "NAME" }`` or
``{ file = "path" }``.
"""

import base64
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from olvido.core.brake import Limits
from olvido.core.canary_people import ADDRESS
from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.errors import ConfigError, did_you_mean
from olvido.core.instants import CLOCK_SKEW_MAX, LATE_AFTER, InstantLimits
from olvido.core.law.deadlines import ANYWHERE, Jurisdiction, Weekdays, is_jurisdiction
from olvido.core.law.regimes import load as regimes
from olvido.core.loopback import is_loopback
from olvido.core.principals import Principal, Role
from olvido.core.rates import rate_of
from olvido.core.rights.known import RIGHTS
from olvido.core.rights.names import Right
from olvido.core.sessions import CONTROL
from olvido.core.subject import IdentityKind
from olvido.schemas.calendars import calendar_of, calendars
from olvido.schemas.settings.lines import line_of
from olvido.schemas.settings.wording import wrong_with
from olvido.schemas.topics import CANARIES, NO_SINKS, YEAR, topics_of

FILE_NAME = "olvido.toml"
# Principals that a deployment has, unless it declares its own.
PRODUCER, DESK, CANARY_PEOPLE = "producer", "desk", "canary-people"
NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
# What a person may set for every deployment they look at: where things are, and how it is shown to them.
USER_KEYS = ("cli", "kafka", "ledger", "registry")
PARTITIONS_MAX = 10_000  # of one topic: more is a slip of the finger
KAFKA_PORT = 9092  # where none is given
PROTOCOL = "security.protocol"  # of the options, that which says whether anybody can read along
ENCRYPTED = frozenset({"SSL", "SASL_SSL"})
PLACES = frozenset({"bootstrap.servers", "metadata.broker.list"})
SECRET_OPTION = re.compile(r"(password|passphrase|secret|key\.pem)$")  # of librdkafka, by its name
REGISTRY_IN_CLEAR = (
    "{} is another machine, and what goes there would be readable and changeable by all who are in between: "
    "give an https:// address; only where nobody else is in that network, insecure = true in its section"
)
NAME_IT = 'write { env = "NAME" } with the name of a variable, or { file = "path" }'


S = TypeVar("S", bound=BaseModel)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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


class KafkaSection(_Section):
    """Where the broker is, and any librdkafka option (security, for example) by its own name."""

    bootstrap_servers: str = Field(default="127.0.0.1:9092", min_length=1)
    options: dict[str, str | Secret] = Field(default_factory=dict)
    insecure: bool = False  # whether what goes to another machine may be read or changed on its way
    replication_factor: int = Field(default=1, ge=1)
    # The unit of scale-out. Fixed when a topic is made: in a topic that grows, keys would move.
    partitions: int = Field(default=6, ge=1, le=PARTITIONS_MAX)
    topic_partitions: dict[str, Annotated[int, Field(ge=1, le=PARTITIONS_MAX)]] = Field(default_factory=dict)

    def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has: what is given for it, or else as many as all have.

        The topic of the canaries has as many as the largest: each partition of work has one beside it.
        """
        return self.topic_partitions.get(topic, self._most if topic == CANARIES.name else self.partitions)

    @property
    def _most(self) -> int:
        return max((self.partitions, *self.topic_partitions.values()))

    @property
    def servers(self) -> tuple[str, ...]:
        """Each server, as ``host:port``."""
        return tuple(server.strip() for server in self.bootstrap_servers.split(","))

    @property
    def server_abroad(self) -> str | None:
        """The first server that is not on this machine; None where there is none, or that was allowed."""
        if self.insecure:
            return None
        return next((one for one in self.servers if not is_loopback(host_and_port(one)[0])), None)

    @property
    def readable_abroad(self) -> str | None:
        """The server on another machine that would be spoken to without encryption; None if there is none."""
        protocol = self.options.get(PROTOCOL, "PLAINTEXT")
        encrypted = isinstance(protocol, str) and protocol.upper() in ENCRYPTED
        return None if encrypted else self.server_abroad

    @field_validator("bootstrap_servers")
    @classmethod
    def _only_places(cls, servers: str) -> str:
        if {"@", "/"} & set(servers):
            raise ValueError(
                "must be host:port, and more of them after commas: no protocol, user or password"
            )
        return servers

    @field_validator("options")
    @classmethod
    def _secrets_are_named(cls, options: dict[str, str | Secret]) -> dict[str, str | Secret]:
        for name, value in options.items():
            if SECRET_OPTION.search(name) and isinstance(value, str):
                raise ValueError(f'"{name}" must not stand there: {NAME_IT}')
            if name in PLACES:
                raise ValueError(f'"{name}" is not read: write kafka.bootstrap_servers')
        return options

    @model_validator(mode="after")
    def _canaries_reach_all(self) -> Self:
        if self.partitions_of(CANARIES.name) < self._most:
            raise ValueError(
                f"topic_partitions: {CANARIES.name} needs {self._most}, as many as the largest topic has"
            )
        return self


class RegistrySection(_Section):
    """Where the schema registry is, whom it is trusted by, and who we are there."""

    url: str = Field(default="http://127.0.0.1:8081/apis/ccompat/v7", pattern=r"^https?://")
    username: str | None = Field(default=None, min_length=1)
    password: Secret | None = None
    ca_file: Path | None = None  # the system's authorities, where none is given
    certificate_file: Path | None = None
    key_file: Path | None = None  # where the certificate's file does not hold the key as well
    key_password: Secret | None = None
    insecure: bool = False  # whether what goes to another machine may be read or changed on its way

    @property
    def readable_abroad(self) -> str | None:
        """The registry's host, where it is another machine and spoken to without encryption; or None."""
        if self.insecure or self.url.startswith("https:"):
            return None
        host = urlsplit(self.url).hostname or ""
        return None if is_loopback(host) else host

    @field_validator("url")
    @classmethod
    def _without_login(cls, url: str) -> str:
        if "@" in url:
            raise ValueError(
                "must hold no user and no password: write registry.username, and registry.password = "
                '{ env = "NAME" } or { file = "path" }'
            )
        return url

    @field_validator("password", "key_password", mode="before")
    @classmethod
    def _is_named(cls, secret: object) -> object:
        if isinstance(secret, str):
            raise ValueError(f"must not stand there: {NAME_IT}")
        return secret

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together: give both or none")
        if self.certificate_file is None and (self.key_file or self.key_password):
            raise ValueError("key_file and key_password are of no use without certificate_file")
        if self.url.startswith("http:") and (self.ca_file or self.certificate_file):
            raise ValueError(
                "ca_file and certificate_file have no effect on an http:// address: give https://"
            )
        return self


class KeysSection(_Section):
    """Where the keys are. Producers get the first three; only a region's sinks get its private ones."""

    handle_file: Path = Path(".olvido/keys/handle.key")
    public_dir: Path = Path(".olvido/keys/public")
    signing_file: Path = Path(".olvido/keys/signing/producer/signing.key")  # what this process signs with
    private_dir: Path | None = None


class MetricsSection(_Section):
    """Where a process serves its metrics and its health."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)  # None: nowhere


class LedgerSection(_Section):
    """The ledger database. Only processors, the recorder and operators are given its address."""

    dsn: str | Secret | None = None
    owner_dsn: str | Secret | None = None  # who makes its tables, where that is another login
    # How long what was read stays beside its facts. By default, as long as the topics hold it.
    keep_events_days: int = Field(default=YEAR.days, ge=1)
    keep_dead_letters_days: int = Field(default=YEAR.days, ge=1)


class VerificationSection(_Section):
    """The rights for which it must be verified that it is really the person."""

    required_for: tuple[Right, ...] = ()


class PrincipalSection(_Section):
    """A principal, and what it may write. What is not given is all that the deployment has."""

    role: Role
    # Base64 or hexadecimal, of 32 bytes. Those in the folder of public keys, under its name, count as well.
    public_keys: tuple[str, ...] = ()
    rights: tuple[Right, ...] | None = None
    purposes: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    identities: tuple[IdentityKind, ...] | None = None
    may_verify: bool = False
    sinks: tuple[str, ...] = ()  # that a sink's principal answers for

    @field_validator("public_keys")
    @classmethod
    def _keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            if len(_public_key(key)) != 32:
                raise ValueError("holds what is not 32 bytes in base64 or hexadecimal")
        return keys


def _public_key(text: str) -> bytes:
    try:
        return bytes.fromhex(text) if len(text) == 64 else base64.urlsafe_b64decode(text)
    except ValueError:
        return b""


class BrakeSection(_Section):
    """How many erasures may start in an hour; those above it wait until two people decide."""

    erasures_per_hour_of_one: int = Field(default=1000, ge=1)
    erasures_per_hour: int = Field(default=5000, ge=1)
    erase_after_s: float = Field(default=0.0, ge=0)  # a grace period before any sink is asked


def _check_known(code: str, known: Mapping[str, object]) -> None:
    if code not in known:
        raise ValueError(f"knows no {code!r}{did_you_mean(code, known)} (there are {', '.join(known)})")


class JurisdictionSection(_Section):
    """By which laws requests are to be answered, and whose days they count."""

    regimes: tuple[str, ...] = ()  # codes of docs/law.md; the earliest last day of all of them is shown
    zone: str | None = None  # whose days are counted, such as Europe/Madrid; None: those of UTC
    calendar: str | None = None  # whose working days, such as ES; None: Monday to Friday, and provisional

    @field_validator("regimes")
    @classmethod
    def _regimes(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        for code in codes:
            _check_known(code, regimes())
        return codes

    @field_validator("zone")
    @classmethod
    def _zone(cls, name: str | None) -> str | None:
        try:
            _ = name and ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"knows no {name!r}: give a zone's name, such as Europe/Madrid") from None
        return name

    @field_validator("calendar")
    @classmethod
    def _calendar(cls, code: str | None) -> str | None:
        if code is not None:
            _check_known(code, calendars())
        return code


class LawSection(JurisdictionSection):
    """By when requests are to be answered: what holds for all, and for those that name a jurisdiction."""

    answer_within_days: int | None = Field(default=None, ge=1, le=365)  # what the deployment itself promises
    jurisdictions: dict[str, JurisdictionSection] = Field(default_factory=dict)  # by ISO 3166, such as US-CA

    @field_validator("jurisdictions")
    @classmethod
    def _codes(cls, places: dict[str, JurisdictionSection]) -> dict[str, JurisdictionSection]:
        for code in places:
            if not is_jurisdiction(code):
                raise ValueError(f"{code!r} is no code of ISO 3166: give one such as ES or US-CA")
        return places

    @property
    def jurisdiction(self) -> Jurisdiction:
        """What holds where a request names no jurisdiction, or none of those that are declared."""
        return _jurisdiction(self.regimes, self.zone, self.calendar, self.answer_within_days)

    @property
    def declared(self) -> dict[str, Jurisdiction]:
        """What holds in each of those that are declared; the deployment's own promise holds in all."""
        return {
            code: _jurisdiction(one.regimes, one.zone, one.calendar, self.answer_within_days)
            for code, one in self.jurisdictions.items()
        }


@cache  # one of each: what was counted once is not counted again
def _jurisdiction(
    codes: tuple[str, ...], zone: str | None, calendar: str | None, promised_days: int | None
) -> Jurisdiction:
    """A regime brings the one that it builds on."""
    if (codes, zone, calendar, promised_days) == ((), None, None, None):
        return ANYWHERE
    known = regimes()
    all_codes = dict.fromkeys(
        one for code in codes for one in (known[code].builds_on, code) if one is not None
    )
    return Jurisdiction(
        regimes=tuple(known[code] for code in all_codes),
        zone=UTC if zone is None else ZoneInfo(zone),
        calendar=Weekdays() if calendar is None else calendar_of(calendar),
        promised_days=promised_days,
    )


class InstantsSection(_Section):
    """How far the instants that events state may be from the time at which the broker took them."""

    # Other bounds count on that no clock is further ahead than this, so a deployment may only narrow it.
    ahead_max_s: float = Field(
        default=CLOCK_SKEW_MAX.total_seconds(), gt=0, le=CLOCK_SKEW_MAX.total_seconds()
    )
    late_after_s: float = Field(default=LATE_AFTER.total_seconds(), gt=0)


class ReconcilerSection(_Section):
    """How soon a task without a receipt is sent again, at first; the delay doubles."""

    first_after_s: float = Field(default=60.0, gt=0)
    every_s: float = Field(default=10.0, gt=0)


class CliSection(_Section):
    """How the command line shows data, where no -o says it."""

    output: Literal["table", "json", "jsonl", "yaml", "csv"] = "table"


class SinkSection(BaseModel):
    """What every sink declares; the rest belongs to its kind."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str
    region: str
    identities: tuple[IdentityKind, ...] = Field(min_length=1)
    purposes: tuple[str, ...] = ()
    # What `olvido sinks check` may pass over: a table or table.column, and the reason.
    excused: Mapping[str, Annotated[str, Field(min_length=1, max_length=300)]] = Field(default_factory=dict)
    quota: str | None = None  # what its target takes, such as 5000/hour: replays keep under it
    # By table and column, the rows of a canary person, who is planted and erased each day. None: nobody is.
    canary: Mapping[str, Mapping[str, StrictBool | StrictInt | StrictFloat | StrictStr]] | None = None

    @field_validator("quota")
    @classmethod
    def _quota(cls, quota: str | None) -> str | None:
        if quota is not None:
            rate_of(quota)
        return quota

    @model_validator(mode="after")
    def _canary_can_be_found(self) -> Self:
        if self.canary is None:
            return self
        if IdentityKind.EMAIL not in self.identities:
            raise ValueError(
                "canary: a canary person has an e-mail address alone, which is none of identities"
            )
        values = [value for columns in self.canary.values() for value in columns.values()]
        if not any(ADDRESS in str(value) for value in values):
            raise ValueError(f'canary: give the column of the e-mail address as "{ADDRESS}"')
        return self

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
    metrics: MetricsSection = MetricsSection()
    identity_order: tuple[IdentityKind, ...] = tuple(IdentityKind)
    purposes: tuple[str, ...] = ()  # the deployment's; empty where an upstream service does not know them
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
        connections = _validated(cls, {}, "the environment")
        for key, what in connections.exposures():
            raise _fault("the environment", "", key, f"({variable_of(key)}): {what}")
        return connections

    def exposures(self) -> Iterator[tuple[tuple[str, str], str]]:
        """What would travel in clear to another machine though nobody allowed that: key, and the fix."""
        if server := self.kafka.readable_abroad:
            yield ("kafka", "bootstrap_servers"), not_encrypted(server)
        if host := self.registry.readable_abroad:
            yield ("registry", "url"), REGISTRY_IN_CLEAR.format(host)


class Deployment(Connections):
    """All of olvido.toml."""

    model_config = SettingsConfigDict(
        env_prefix="OLVIDO_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    cli: CliSection = CliSection()
    ledger: LedgerSection = LedgerSection()
    regions: tuple[str, ...] = Field(min_length=1)
    purposes: tuple[str, ...] = Field(min_length=1)
    verification: VerificationSection = VerificationSection()
    principals: dict[str, PrincipalSection] = Field(default_factory=dict)
    accept_unsigned_until: date | None = None  # until when what no principal signed is taken; None: it is not
    brake: BrakeSection = BrakeSection()
    instants: InstantsSection = InstantsSection()
    law: LawSection = LawSection()
    reconciler: ReconcilerSection = ReconcilerSection()
    sinks: dict[str, SinkSection] = Field(min_length=1)

    @field_validator("sinks")
    @classmethod
    def _names(cls, sinks: dict[str, SinkSection]) -> dict[str, SinkSection]:
        for name in sinks:
            if not re.fullmatch(NAME, name) or len(name) > 40 or name in NO_SINKS:
                raise ValueError(
                    f"{name!r} cannot be a sink's name: small letters, digits and single dashes, at most 40, "
                    f"and none of {', '.join(sorted(NO_SINKS))}"
                )
        return sinks

    @classmethod
    def load(cls, path: Path | None = None, *, user: Path | None = None) -> Self:
        """Read olvido.toml from the working directory, or from ``path``.

        Args:
            path: the deployment's file.
            user: a file with what a person has set for every deployment; it may be missing. What
                the deployment's file says wins.

        Raises:
            ConfigError: naming file, line, key and the fix.
        """
        path = path or Path(os.environ.get("OLVIDO_CONFIG", FILE_NAME))
        text, content = read_toml(path)
        if user is not None and user.exists():
            content = _over(read_user(user), content)
        deployment = _validated(cls, content, str(path), text)
        deployment.check(path, text)
        return deployment

    @field_validator("regions")
    @classmethod
    def _no_region_is_the_control_plane(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        if CONTROL in regions:
            raise ValueError(f"{CONTROL!r} is the name of the control plane: give the region another")
        return regions

    @field_validator("principals")
    @classmethod
    def _names_of_principals(cls, principals: dict[str, PrincipalSection]) -> dict[str, PrincipalSection]:
        for name in principals:
            if not re.fullmatch(NAME, name) or len(name) > 60:
                raise ValueError(
                    f"{name!r} is no name of a principal: small letters, digits, single dashes, at most 60"
                )
        return principals

    def check(self, path: Path, text: str = "") -> None:
        """Check what one key says against another.

        Raises:
            ConfigError: a sink names a region or purpose that is not declared, there is no such topic, or
                Kafka or the registry of another machine would be spoken to in clear.
        """
        for exposed, what in self.exposures():
            raise _fault(str(path), text, exposed, what)
        names = [topic.name for topic in topics_of(self.catalogue)]
        for topic in sorted(set(self.kafka.topic_partitions) - set(names))[:1]:
            key = ("kafka", "topic_partitions", topic)
            raise _fault(str(path), text, key, f"there is no such topic{did_you_mean(topic, names)}")
        for name, sink in self.sinks.items():
            if sink.region not in self.regions:
                raise _fault(
                    str(path),
                    text,
                    ("sinks", name, "region"),
                    f"{sink.region!r} is not one of regions{did_you_mean(sink.region, self.regions)}",
                )
            for purpose in sorted(set(sink.purposes) - set(self.purposes))[:1]:
                raise _fault(
                    str(path),
                    text,
                    ("sinks", name, "purposes"),
                    f"{purpose!r} is not one of purposes{did_you_mean(purpose, self.purposes)}",
                )
        for name, principal in self.principals.items():
            for field, given, known in (
                ("purposes", principal.purposes, self.purposes),
                ("regions", principal.regions, self.regions),
                ("sinks", principal.sinks, tuple(self.sinks)),
            ):
                for word in sorted(set(given or ()) - set(known))[:1]:
                    what = f"{word!r} is not one of {field}{did_you_mean(word, known)}"
                    raise _fault(str(path), text, ("principals", name, field), what)

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
            limits=Limits(
                erasures_per_hour_of_one=self.brake.erasures_per_hour_of_one,
                erasures_per_hour=self.brake.erasures_per_hour,
                erase_after=timedelta(seconds=self.brake.erase_after_s),
            ),
            instants=InstantLimits(
                ahead_max=timedelta(seconds=self.instants.ahead_max_s),
                late_after=timedelta(seconds=self.instants.late_after_s),
            ),
            jurisdiction=self.law.jurisdiction,
            jurisdictions=self.law.declared,
        )

    @property
    def all_principals(self) -> dict[str, Principal]:
        """The principals that may write: those that are declared, and those that every deployment has."""
        sections = {
            PRODUCER: PrincipalSection(role=Role.PRODUCER),
            "verifier": PrincipalSection(role=Role.VERIFIER),
            DESK: PrincipalSection(role=Role.DESK),
            # Made up, and planted by the deployment itself: there is nobody to ask.
            **(
                {CANARY_PEOPLE: PrincipalSection(role=Role.PRODUCER, rights=(Right.ERASE,), may_verify=True)}
                if any(sink.canary is not None for sink in self.sinks.values())
                else {}
            ),
            **{principal_of(name): PrincipalSection(role=Role.SINK, sinks=(name,)) for name in self.sinks},
            **self.principals,
        }
        return {
            name: Principal(
                name=name,
                role=section.role,
                rights=frozenset(RIGHTS if section.rights is None else section.rights),
                purposes=frozenset(self.purposes if section.purposes is None else section.purposes),
                regions=frozenset(self.regions if section.regions is None else section.regions),
                identities=frozenset(IdentityKind if section.identities is None else section.identities),
                may_verify=section.may_verify,
                sinks=frozenset(section.sinks),
            )
            for name, section in sections.items()
        }

    @property
    def declared_keys(self) -> dict[str, tuple[bytes, ...]]:
        """The public keys of principals that olvido.toml has."""
        return {
            name: tuple(_public_key(key) for key in section.public_keys)
            for name, section in self.principals.items()
        }

    @property
    def unsigned_until(self) -> datetime:
        """Until when what no principal signed is taken."""
        until = self.accept_unsigned_until
        return datetime.min.replace(tzinfo=UTC) if until is None else datetime.combine(until, time(), UTC)

    @property
    def ledger_dsn(self) -> str:
        """The ledger's address.

        Raises:
            ConfigError: it is not given, or cannot be read from the place that is named.
        """
        if isinstance(self.ledger.dsn, Secret):
            return self.ledger.dsn.read(key="ledger.dsn")
        if not self.ledger.dsn:
            raise ConfigError("ledger.dsn is not set: give OLVIDO_LEDGER__DSN, or run: olvido up")
        return self.ledger.dsn

    @property
    def ledger_owner_dsn(self) -> str | None:
        """The ledger's address with the login that owns its tables; None if one login is for everything.

        Raises:
            ConfigError: it cannot be read from where it is said to be.
        """
        if isinstance(self.ledger.owner_dsn, Secret):
            return self.ledger.owner_dsn.read(key="ledger.owner_dsn")
        return self.ledger.owner_dsn


def not_encrypted(server: str) -> str:
    """The error for a broker that would be spoken to in clear; it says what to do."""
    return (
        f"{server} is another machine, and what goes there would be readable by all who are in between: "
        'write "security.protocol" = "SASL_SSL" (or "SSL") in kafka.options; only where nobody else is in '
        "that network, insecure = true in its section"
    )


def host_and_port(server: str) -> tuple[str, int]:
    """A server's host, without the brackets of an IPv6 address, and its port, or Kafka's own."""
    host, _, port = server.rpartition(":")
    named = bool(host) and port.isdecimal()
    return (host if named else server).strip("[]"), int(port) if named else KAFKA_PORT


def principal_of(sink: str) -> str:
    """The principal that answers for a sink, unless another is declared."""
    return f"sink-{sink}"


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """A TOML file, as text and as values.

    Raises:
        ConfigError: naming the file, the line and the fix.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is not there; run olvido in the folder that holds it, or set OLVIDO_CONFIG"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from None
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, str(error)) from None


def read_user(path: Path) -> dict[str, Any]:
    """What a person has set for every deployment.

    Raises:
        ConfigError: naming the file, the line and the fix.
    """
    text, content = read_toml(path)
    for key in content:
        if key not in USER_KEYS:
            raise _fault(
                str(path), text, (key,), f"belongs in {FILE_NAME}; here may stand: {', '.join(USER_KEYS)}"
            )
    for key, value in content.items():
        _validated(_section(key), value, str(path), text, above=(key,))
    return content


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two files as one: key by key, what stands above wins."""
    both = {
        key: _over(below[key], above[key])
        for key in below.keys() & above.keys()
        if isinstance(below[key], dict) and isinstance(above[key], dict)
    }
    return {**below, **above, **both}


def _section(name: str) -> type[BaseModel]:
    section = Deployment.model_fields[name].annotation
    assert isinstance(section, type)
    assert issubclass(section, BaseModel)
    return section


def _not_toml(path: Path, said: str) -> ConfigError:
    """tomllib's error with the line in front; two tables of one name in words of ours."""
    place = re.search(r" \(at line (\d+), column \d+\)$", said)
    where = f"{path}:{place[1]}" if place else str(path)
    twice = re.match(r"Cannot declare \((.*)\) twice", said)
    if twice:
        name = ".".join(re.findall(r"'([^']*)'", twice[1]))
        what = "sink has" if name.startswith("sinks.") and name.count(".") == 1 else "table has"
        return ConfigError(f"{where}: [{name}] stands there twice: each {what} a name of its own")
    return ConfigError(f"{where} is not TOML: {said[: place.start()] if place else said}")


def _validated(
    cls: type[S],
    content: Any,  # noqa: ANN401 - what a TOML file holds
    origin: str,
    text: str = "",
    above: tuple[str, ...] = (),
) -> S:
    try:
        return cls.model_validate(content) if above else cls(**content)
    except SettingsError as error:
        # The message names the field, not the value.
        named = re.search(r'field "(\w+)"', str(error))
        variable = f"OLVIDO_{named[1].upper()}" if named else "a variable"
        fault = ConfigError(f'the environment: {variable}: lists and tables are JSON there, such as ["news"]')
    except ValidationError as error:
        fault = _first_fault(error, cls, origin, text, above)
    # Out of the block: pydantic's error holds the values, and would be this one's context.
    raise fault


def _first_fault(
    error: ValidationError, cls: type[BaseModel], origin: str, text: str, above: tuple[str, ...]
) -> ConfigError:
    # A key that is misspelt explains the one that is missing: it comes first.
    found = error.errors(include_input=False, include_url=False)
    first = min(found, key=lambda one: one["type"] != "extra_forbidden")
    key = (*above, *(str(part) for part in first["loc"]))
    wrong = wrong_with(first, cls)
    variable = None if first["type"] == "extra_forbidden" else variable_of(key)
    if variable is not None:
        return ConfigError(f"the environment: {'.'.join(key)} ({variable}): {wrong}")
    return _fault(origin, text, key, wrong)


def variable_of(key: Sequence[str]) -> str | None:
    """The environment variable that sets a key, or a table it stands in; None if there is none."""
    names = ("OLVIDO_" + "__".join(key[:depth]).upper() for depth in range(len(key), 0, -1))
    return next((name for name in names if name in os.environ), None)


def _fault(origin: str, text: str, key: tuple[str, ...], what: str) -> ConfigError:
    """The error about one key: file, line where it is known, key and the fix."""
    line = line_of(text, key)
    place = origin if line is None else f"{origin}:{line}"
    return ConfigError(f"{place}: {'.'.join(key) or 'the file'}: {what}")
