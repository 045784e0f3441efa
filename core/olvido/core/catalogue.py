"""What a deployment declares: its regions, purposes, kinds of identity and sinks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from olvido.core.brake import Limits
from olvido.core.instants import InstantLimits
from olvido.core.law.deadlines import ANYWHERE, Jurisdiction
from olvido.core.rights.names import Right
from olvido.core.subject import IdentityKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkEntry:
    """A system that holds personal data, as far as planning needs to know it."""

    name: str
    region: str
    identities: frozenset[IdentityKind]  # the kinds it can look a person up by
    purposes: frozenset[str]  # the purposes whose consent changes it acts on


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything planning looks up. Made once from olvido.toml; never changed while running."""

    regions: frozenset[str]
    purposes: frozenset[str]
    sinks: tuple[SinkEntry, ...]
    verification_required: frozenset[Right] = field(default_factory=frozenset)
    limits: Limits = field(default_factory=Limits)
    instants: InstantLimits = field(default_factory=InstantLimits)
    jurisdiction: Jurisdiction = ANYWHERE  # by when requests are to be answered
    jurisdictions: Mapping[str, Jurisdiction] = field(default_factory=dict)  # of those that name one of these

    def place_of(self, jurisdiction: str) -> str | None:
        """Which of the declared jurisdictions holds for a request that names one: its own, or its country's.

        None where none is named, or none of those that are declared: then all laws of the deployment count.
        """
        country = jurisdiction.partition("-")[0]
        return next((code for code in (jurisdiction, country) if code in self.jurisdictions), None)

    def law_of(self, jurisdiction: str) -> Jurisdiction:
        """What holds for a request that names a jurisdiction, or none."""
        code = self.place_of(jurisdiction)
        return self.jurisdiction if code is None else self.jurisdictions[code]

    def sink(self, name: str) -> SinkEntry | None:
        """The sink of that name, or None."""
        return next((sink for sink in self.sinks if sink.name == name), None)
