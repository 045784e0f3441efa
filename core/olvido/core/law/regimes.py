"""What a privacy law asks for, as data: one TOML file a regime, checked whole when it is loaded.

No code names a country. Each rule has its source, the day somebody last looked, and how certain it is;
a rule of which nobody is sure is loaded and shown as unsure. None of it is legal advice.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import date
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from olvido.core.errors import ConfigError
from olvido.core.rights.names import Right


class RuleKind(StrEnum):
    """What a rule is about."""

    ACKNOWLEDGEMENT = "acknowledgement"  # by when the person is told that the request came
    ANSWER = "answer"  # by when the request is answered
    EXTENSION = "extension"  # how much longer it may take
    PAUSE = "pause"  # what makes the clock stand still
    REFUSAL = "refusal"  # a ground to refuse
    BLOCK = "block"  # what is put out of reach before it is destroyed (bloqueo)
    RECORDS = "records"  # how long what was asked and done is kept


class Unit(StrEnum):
    """What a length counts."""

    DAYS = "days"
    BUSINESS_DAYS = "business_days"
    MONTHS = "months"


class StartsAt(StrEnum):
    """When a clock begins."""

    RECEIVED = "received"  # the request came
    VERIFIED = "verified"  # it was proved who asks


class Certainty(StrEnum):
    """How far a rule may be relied on."""

    SURE = "sure"  # read, or read as a quotation, in the law or on an official page
    LIKELY = "likely"  # a good secondary source says so
    UNSURE = "unsure"  # from memory, or sources conflict: to be confirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class LawRule:
    """One thing that a regime asks for or allows.

    `rights` is empty where the rule holds for all; `length` and `unit` are there together, or the law
    gives no number; `ground` is the code of a refusal, and of nothing else. `next_working_day` says that a
    last day on which nobody works moves to the next on which somebody does.
    """

    kind: RuleKind
    text: str
    source: str
    reviewed_on: date
    certainty: Certainty
    length: int | None = None
    unit: Unit | None = None
    rights: tuple[Right, ...] = ()
    ground: str | None = None
    starts_at: StartsAt = StartsAt.RECEIVED
    next_working_day: bool = False

    def __post_init__(self) -> None:
        if type(self.reviewed_on) is not date:
            raise ValueError("reviewed_on is a date, such as 2026-11-30")
        for name in ("text", "source"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"{name} is a text, and not an empty one")
        if (self.length is None) != (self.unit is None):
            raise ValueError("length and unit stand together, or neither does")
        if self.length is not None and (type(self.length) is not int or self.length <= 0):
            raise ValueError("length is a whole number above 0")
        if (self.kind is RuleKind.REFUSAL) != (self.ground is not None):
            raise ValueError("a refusal has a ground, and nothing else has one")
        if self.starts_at is StartsAt.VERIFIED and self.length is None:
            raise ValueError("a clock that starts has a length")
        if type(self.next_working_day) is not bool or (
            self.next_working_day and self.kind not in (RuleKind.ANSWER, RuleKind.ACKNOWLEDGEMENT)
        ):
            raise ValueError("next_working_day is true or false, and of a last day to answer or acknowledge")
        if Right.UNKNOWN in self.rights:
            raise ValueError("rights names a right that there is")

    @property
    def period(self) -> str | None:
        """How long, as people say it: `1 month`, `20 business days`; None where the law gives no number."""
        if self.length is None or self.unit is None:
            return None
        unit = self.unit.value.replace("_", " ")
        return f"{self.length} {unit if self.length > 1 else unit.removesuffix('s')}"


@dataclass(frozen=True, slots=True)
class Regime:
    """A law, or several that are applied as one. `builds_on` is the code of the regime it stands beside."""

    code: str
    title: str
    builds_on: str | None
    rules: tuple[LawRule, ...]


@cache
def load() -> Mapping[str, Regime]:
    """Reads, once, every regime that is shipped, by its code.

    Raises:
        ConfigError: a file says what the model does not allow.
    """
    folder = resources.files("olvido.core.law")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    regimes = {
        code: parsed(code, file.read_text(encoding="utf-8"))
        for code, file in ((file.name.removesuffix(".toml"), file) for file in files)
    }
    for regime in regimes.values():
        below = regime.builds_on
        if below is not None and (below not in regimes or regimes[below].builds_on is not None):
            raise ConfigError(f"{regime.code}.toml: builds_on names {below!r}, no regime that stands alone")
    return regimes


def parsed(code: str, text: str) -> Regime:
    """Reads one regime from its TOML.

    Raises:
        ConfigError: it says what the model does not allow; the message names file, rule and fault.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError(f"{code}.toml: {fault}") from fault
    if table.keys() - {"title", "builds_on", "rules"} or not table.get("title") or not table.get("rules"):
        raise ConfigError(f"{code}.toml: it has title, rules and perhaps builds_on, and nothing else")
    rules = []
    for number, rule in enumerate(table["rules"], start=1):
        try:
            rules.append(_rule(rule))
        except ValueError as fault:
            raise ConfigError(f"{code}.toml, rule {number}: {fault}") from fault
    return Regime(code, table["title"], table.get("builds_on"), tuple(rules))


def _rule(table: Mapping[str, Any]) -> LawRule:
    if unknown := table.keys() - {field.name for field in fields(LawRule)}:
        raise ValueError(f"it has no {', '.join(sorted(unknown))}")
    needed = {field.name for field in fields(LawRule) if field.default is MISSING}
    if missing := needed - table.keys():
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    return LawRule(
        **{
            **table,
            "kind": RuleKind(table["kind"]),
            "certainty": Certainty(table["certainty"]),
            "unit": Unit(table["unit"]) if "unit" in table else None,
            "rights": tuple(Right(name) for name in table.get("rights", ())),
            "starts_at": StartsAt(table.get("starts_at", StartsAt.RECEIVED)),
        }
    )
