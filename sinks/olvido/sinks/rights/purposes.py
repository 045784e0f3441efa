"""For how many of the purposes that data is used for a data map covers something."""

from collections.abc import Callable, Collection

from olvido.sinks.contract import Capability, Extent
from olvido.sinks.rights.target import listed

FULL = Capability(extent=Extent.FULL)


def for_purposes(purposes: Collection[str], covers: Callable[[str], bool], key: str) -> Capability:
    """How far what is asked about purposes can be done.

    Args:
        purposes: those that data is used for here.
        covers: whether the map says what to do for one.
        key: the key of the map that does.
    """
    missing = [purpose for purpose in purposes if not covers(purpose)]
    if not purposes:
        return Capability(extent=Extent.NONE, why="data is used for no purpose here")
    if not missing:
        return FULL
    extent = Extent.NONE if len(missing) == len(purposes) else Extent.PARTIAL
    return Capability(extent=extent, why=f"no table has {key}.{listed(missing)}")
