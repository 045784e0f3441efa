"""What olvido.toml may say, as a JSON Schema: editors complete, explain and check the file by it.

It is made of the very models that read the file. What one key says against another (a parent that is not
there) is said by ``olvido config check`` alone.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from olvido.schemas.settings.deployment import NAME, Deployment, SinkSection
from olvido.sinks.plugins import GROUP, class_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "#/$defs/"


def installed_sections() -> Mapping[str, type[BaseModel]]:
    """By kind of sink, the model of its section; of the kinds that give one in an attribute ``section``.

    A kind whose packages are not installed has none.
    """
    found = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            factory = entry.load()
        except ImportError:
            continue
        section = getattr(class_of(factory), "section", None)
        if section is not None:
            found[entry.name] = section
    return found


def deployment_schema(sections: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The schema of olvido.toml, each sink by its kind. Of a kind without a model all keys are allowed.

    Args:
        sections: by kind, the model of what is a sink's own.
    """
    models: list[type[BaseModel]] = [Deployment, SinkSection, *sections.values()]
    references, schema = models_json_schema([(model, "validation") for model in models])
    definitions: dict[str, Any] = _as_written(schema["$defs"])

    def taken(model: type[BaseModel]) -> dict[str, Any]:
        name = references[model, "validation"]["$ref"].removeprefix(_REFERENCE)
        found: dict[str, Any] = definitions.pop(name)
        return found

    root, common = taken(Deployment), taken(SinkSection)
    kinds = {kind: _of_kind(kind, common, taken(section)) for kind, section in sections.items()}
    definitions |= {_name(kind): content for kind, content in kinds.items()}
    others = {**common["properties"], "kind": {"type": "string", "not": {"enum": list(kinds)}}}
    definitions[_name("other")] = {**common, "properties": others, "title": "A kind of sink of your own"}
    root["properties"]["sinks"] |= {
        "propertyNames": {"pattern": NAME, "maxLength": 40},
        "additionalProperties": {"oneOf": [{"$ref": _REFERENCE + _name(kind)} for kind in (*kinds, "other")]},
    }
    return {"$schema": DIALECT, **root, "title": "olvido.toml", "$defs": dict(sorted(definitions.items()))}


def _as_written(part: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    """Without defaults, which are values and not what a file says, and titles that only repeat a name."""
    if isinstance(part, list):
        return [_as_written(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: {name: _as_written(one) for name, one in value.items()}
        if key == "properties"
        else _as_written(value)
        for key, value in part.items()
        if key not in {"default", "title"}
    }


def _of_kind(kind: str, common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A sink's section: what every sink declares, and what belongs to its kind."""
    return {
        "title": f"A sink of kind {kind}",
        "type": "object",
        "additionalProperties": False,
        "properties": {**common["properties"], **own["properties"], "kind": {"const": kind}},
        "required": [*common["required"], *own.get("required", ())],
    }


def _name(kind: str) -> str:
    return f"sink-{kind}"
