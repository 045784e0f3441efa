"""Which columns look personal, and by what: what the values are, what the name suggests, or both.

Pure. The evidence is a sentence with counts in it, and never a value.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from olvido.sinks.discovery.column_names import Hint, Personal, about_people, hint_of
from olvido.sinks.discovery.detectors import digest_of, naming, national_regions, recognise
from olvido.sinks.discovery.live import Family, LiveColumn, LiveTable, Sample

# What a column of a type can hold by its name alone. A yes or no, or an instant, is only about a value.
_BY_NAME: Mapping[Family, frozenset[Personal] | None] = {
    Family.BOOLEAN: frozenset(),
    Family.INSTANT: frozenset({Personal.BIRTH}),
    Family.DATE: frozenset({Personal.BIRTH}),
    Family.UUID: frozenset({Personal.DEVICE, Personal.COOKIE, Personal.CUSTOMER, Personal.SECRET}),
    Family.NUMBER: frozenset(set(Personal) - {Personal.NAME, Personal.EMAIL, Personal.TEXT, Personal.SECRET}),
}
NAMING_SHARE = 0.01  # of the samples of a text: so many with an address inside, and it is a text about people


FEW = 20  # samples: of fewer, a share in per cent would sound like more than it is


class Basis(StrEnum):
    """What evidence rests on."""

    SAMPLES = "samples"
    NAME = "name"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why a column looks personal."""

    personal: Personal
    basis: Basis
    text: str
    doubtful: bool = False  # it is called so, and its values are not written so
    forms: tuple[str, ...] = ()  # how it may be written, as a data map names that; none: plain

    @property
    def sure(self) -> bool:
        """Whether the values themselves say so."""
        return self.basis is not Basis.NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTable:
    """One table, and which of its columns look personal."""

    table: LiveTable
    evidence: Mapping[str, Evidence] = field(default_factory=dict)  # by column
    several: frozenset[str] = frozenset()  # the columns of which not all samples are one value
    why_not: str = ""  # its rows could not be read, so that names alone say something

    @property
    def about_people(self) -> bool:
        """Whether its rows are about people, as far as that can be seen."""
        return bool(self.evidence)


def judge(table: LiveTable, sample: Sample) -> SeenTable:
    """Say which columns of a table look personal."""
    found: dict[str, Evidence] = {}
    unclear: dict[str, Evidence] = {}
    pointing = {column for reference in table.references for column in reference.columns}
    for column in table.columns:
        hint = _hint(column)
        if hint is not None and hint.personal is Personal.CUSTOMER and column.name in pointing:
            hint = None  # it says whose the row is, by the key of another table
        evidence = _of_column(hint, sample.values.get(column.name, ()))
        if evidence is not None:
            sure = evidence.sure or (hint is not None and hint.clear)
            (found if sure else unclear)[column.name] = evidence
    if found or about_people(table.name):
        found |= unclear
    ordered = {column.name: found[column.name] for column in table.columns if column.name in found}
    several = frozenset(name for name, values in sample.values.items() if len({*values}) > 1)
    return SeenTable(table=table, evidence=ordered, several=several, why_not=sample.why_not)


def personal_columns(seen: SeenTable, kinds: Iterable[Personal]) -> list[str]:
    """The columns that look like one of some kinds; those whose values say so come first."""
    wanted = set(kinds)
    found = [name for name, evidence in seen.evidence.items() if evidence.personal in wanted]
    return sorted(found, key=lambda name: not seen.evidence[name].sure)


def _hint(column: LiveColumn) -> Hint | None:
    hint = hint_of(column.name)
    allowed = _BY_NAME.get(column.family)
    return None if hint is None or (allowed is not None and hint.personal not in allowed) else hint


def _of_column(hint: Hint | None, values: Sequence[str]) -> Evidence | None:
    suggested = hint.personal if hint else None
    seen = recognise(values, suggested)
    if seen is not None:
        basis = Basis.BOTH if suggested is seen.form.personal else Basis.SAMPLES
        return Evidence(
            personal=seen.form.personal,
            basis=basis,
            text=f"{_share(seen.passed, seen.of)} {_samples(seen.of)} are {seen.form.what}",
            forms=_forms(seen.form.personal, values),
        )
    named = naming(values)
    if named and named >= NAMING_SHARE * len(values):
        verb = "has" if named == 1 else "have"
        return Evidence(
            personal=Personal.TEXT,
            basis=Basis.SAMPLES,
            text=f"{named} of {_samples(len(values))} {verb} an e-mail address inside",
        )
    if hint is None:
        return None
    doubtful = bool(values) and _provable(hint.personal)
    verb = "does" if len(values) == 1 else "do"
    looked = f"; {_samples(len(values))} {verb} not look like it" if doubtful else ""
    return Evidence(
        personal=hint.personal,
        basis=Basis.NAME,
        text=f"by its name: {hint.personal.value}{looked}",
        doubtful=doubtful,
        forms=tuple(filter(None, [digest_of(values)])) if doubtful else (),
    )


def _forms(personal: Personal, values: Sequence[str]) -> tuple[str, ...]:
    regions = national_regions(values) if personal is Personal.PHONE else []
    return tuple(f"national:{region}" for region in regions)


def _provable(personal: Personal) -> bool:
    return personal in {Personal.EMAIL, Personal.PHONE, Personal.IP, Personal.NATIONAL_ID}


def _share(part: int, whole: int) -> str:
    """A share in per cent, and 100 only where it is all; of a few, how many."""
    if whole < FEW:
        return f"{part} of"
    return f"{min(99, round(100 * part / whole)) if part < whole else 100} % of"


def _samples(number: int) -> str:
    return f"{number} sample" if number == 1 else f"{number} samples"
