"""What each system can do of what people may ask, before anybody asks."""

from collections.abc import Iterable
from dataclasses import dataclass

from olvido.core.errors import ConfigError, InvalidInput, did_you_mean
from olvido.core.rights.names import Action
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.contract import Capability, Extent
from olvido.sinks.plugins import capabilities_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityRow:
    """How far one sink can do one action."""

    sink: str
    action: Action
    capability: Capability


def rows(declared: Deployment, names: Iterable[str] = ()) -> list[CapabilityRow]:
    """Every action of some sinks of olvido.toml, or of all of them. No target is asked, no secret read.

    Raises:
        InvalidInput: there is no sink of that name.
    """
    chosen = tuple(names) or tuple(declared.sinks)
    for name in chosen:
        if name not in declared.sinks:
            raise InvalidInput("sink", f"{name!r} is not in olvido.toml{did_you_mean(name, declared.sinks)}")
    found = []
    for name in chosen:
        try:
            known = capabilities_of(declared, name)
            silent = Capability(extent=Extent.UNKNOWN, why="its kind does not say; its target answers")
        except ConfigError as error:
            known, silent = {}, Capability(extent=Extent.UNKNOWN, why=str(error))
        found += [
            CapabilityRow(sink=name, action=action, capability=known.get(action, silent))
            for action in Action
            if action is not Action.UNKNOWN
        ]
    return found
