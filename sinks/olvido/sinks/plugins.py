"""The kinds of sink there are: entry points of the group ``olvido.sinks``, ours and others'."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from olvido.core.errors import ConfigError, did_you_mean
from olvido.core.rights.names import Action
from olvido.schemas.settings.deployment import FILE_NAME, Deployment
from olvido.sinks.contract import Capability, Capable, Sink, SinkFactory, SinkSettings
from olvido.sinks.section import fault

GROUP = "olvido.sinks"
_EXTRAS = {"pymysql": "mysql"}  # the extra that brings a module, where it is not `sinks`


def load_sink(deployment: Deployment, name: str) -> Sink:
    """Make the sink that olvido.toml declares under a name. Nothing is connected yet.

    Raises:
        ConfigError: there is no such sink or kind, or its section is wrong.
    """
    if name not in deployment.sinks:
        raise ConfigError(f"{FILE_NAME}: sinks.{name} is not there{did_you_mean(name, deployment.sinks)}")
    return make_sink(deployment.sinks[name].kind, settings_of(deployment, name))


def make_sink(kind: str, settings: SinkSettings) -> Sink:
    """Make a sink of a kind.

    Raises:
        ConfigError: no such kind is installed, or the sink's section is wrong.
    """
    return _factory(_entry(kind, settings.name), settings)(settings)


def capabilities_of(deployment: Deployment, name: str) -> Mapping[Action, Capability]:
    """What the sink that olvido.toml declares under a name can do, as far as its kind says.

    No secret is read.

    Raises:
        ConfigError: its kind is not installed here, or its section is wrong.
    """
    entry = _entry(deployment.sinks[name].kind, name)
    settings = settings_of(deployment, name)
    kind = class_of(_factory(entry, settings))
    return kind.capabilities(settings) if isinstance(kind, Capable) else {}


def settings_of(deployment: Deployment, name: str) -> SinkSettings:
    """What a sink of the deployment is given."""
    section = deployment.sinks[name]
    return SinkSettings(
        name=name,
        region=section.region,
        identities=section.identities,
        purposes=section.purposes,
        own=section.own,
    )


def class_of(factory: object) -> object | None:
    """The class of a kind, where its factory is a method of one: it knows what needs no sink."""
    return getattr(factory, "__self__", None)


def _entry(kind: str, name: str) -> EntryPoint:
    kinds = {entry.name: entry for entry in entry_points(group=GROUP)}
    if kind not in kinds:
        raise fault(f"sinks.{name}.kind", f"no kind {kind!r} is installed{did_you_mean(kind, kinds)}")
    return kinds[kind]


def _factory(entry: EntryPoint, settings: SinkSettings) -> SinkFactory:
    try:
        factory: SinkFactory = entry.load()
    except ImportError as error:
        wanted = (error.name or "").partition(".")[0]
        if wanted in {"olvido", entry.module.partition(".")[0]}:
            # No extra brings what one of our own modules, or one of the plugin's, has not got.
            raise fault(
                f"sinks.{settings.name}.kind",
                f"{entry.name!r} cannot be imported from {entry.module}: {error}",
            ) from None
        raise fault(
            f"sinks.{settings.name}.kind",
            f"{entry.name!r} needs {error.name or 'a package'}, which is not installed: "
            f"pip install 'olvido[{_EXTRAS.get(wanted, 'sinks')}]'",
        ) from None
    return factory
