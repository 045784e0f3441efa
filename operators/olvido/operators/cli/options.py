"""Options as values: a command takes a frozen dataclass, and each of its fields is an option.

Typer reads a command's options off its parameters. Options that belong together (who a person is, what a
replay selects) are one value here, which several commands share.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints

from olvido.core.errors import InvalidInput


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose dataclass parameters stand for one option a field."""
    hints = get_type_hints(command, include_extras=True)
    values: dict[str, type[Any]] = {}
    parameters: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint) and isinstance(hint, type):
            values[parameter.name] = hint
            parameters += _parameters_of(hint)
        else:
            parameters.append(parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY))

    @wraps(command)
    def gathered(**given: Any) -> None:  # noqa: ANN401 - what Typer has read
        made = {
            name: value(**{one.name: given.pop(one.name) for one in fields(value)})
            for name, value in values.items()
        }
        command(**given, **made)

    gathered.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # inspect looks for it
    gathered.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return gathered


@contextmanager
def named_as_typed(command: Any) -> Iterator[None]:  # noqa: ANN401 - Typer's commands are not public by type
    """Within it, an argument at fault has the name that stands on the command line, such as ``--from``."""
    try:
        yield
    except InvalidInput as error:
        # An option that repeats is named once for each value, and its argument for all of them.
        names = (error.field, error.field.removesuffix("s"))
        typed = next((_typed(param) for param in command.params if param.name in names), error.field)
        raise type(error)(typed, error.reason) from None


def _typed(param: Any) -> str:  # noqa: ANN401
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper()).strip("[]")
    return next((str(option) for option in param.opts if option.startswith("--")), str(param.opts[0]))


def _parameters_of(value: type[Any]) -> list[Parameter]:
    hints = get_type_hints(value, include_extras=True)
    return [
        Parameter(one.name, Parameter.KEYWORD_ONLY, default=_default(one), annotation=hints[one.name])
        for one in fields(value)
    ]


def _default(one: "Field[Any]") -> Any:  # noqa: ANN401
    return Parameter.empty if one.default is MISSING else one.default
