"""Who a person is, on a command line or in a file."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from olvido.core.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """What a person is known by."""

    email: Annotated[str | None, typer.Option(help="An e-mail address of the person.")] = None
    phone: Annotated[
        str | None, typer.Option(help="An international phone number, such as +34 600 000 000.")
    ] = None
    customer_id: Annotated[str | None, typer.Option(help="The person's customer id.")] = None
    device_id: Annotated[str | None, typer.Option(help="A device id.")] = None
    cookie_id: Annotated[str | None, typer.Option(help="A cookie id.")] = None
    identities_from: Annotated[
        Path | None,
        typer.Option(
            help='A JSON object such as {"email": "…"} from a file, or - for standard input: '
            "so that no identity stands on a command line, where other users of the machine can read it.",
        ),
    ] = None

    def given(self) -> dict[str, str]:
        """Each identity by its kind; none if none was given.

        Raises:
            InvalidInput: the file is not such an object.
        """
        options = {
            "email": self.email, "phone": self.phone, "customer_id": self.customer_id,
            "device_id": self.device_id, "cookie_id": self.cookie_id,
        }  # fmt: skip
        typed = {kind: value for kind, value in options.items() if value is not None}
        return typed if self.identities_from is None else {**typed, **_read(self.identities_from)}

    def required(self) -> dict[str, str]:
        """The same, where there must be one.

        Raises:
            InvalidInput: there is none.
        """
        given = self.given()
        if not given:
            raise InvalidInput("identities", "at least one is needed, such as --email or --customer-id")
        return given


def _read(path: Path) -> dict[str, str]:
    try:
        read = json.loads(sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput("identities_from", f"cannot be read: {error.strerror}") from None
    except ValueError:  # its text names a person
        raise InvalidInput("identities_from", "is not a JSON object in UTF-8") from None
    if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
        raise InvalidInput("identities_from", 'is not an object of strings such as {"email": "…"}')
    return read
