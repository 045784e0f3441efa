"""`olvido request …` and `olvido consent …`: what upstream services emit, from the shell."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from olvido.core.errors import InvalidInput
from olvido.core.events import RIGHTS, Right
from olvido.operators.cli.output import Form, Output, messages, show_one

Email = Annotated[str | None, typer.Option(help="An e-mail address of the person.")]
Phone = Annotated[str | None, typer.Option(help="An international phone number, such as +34 600 000 000.")]
CustomerId = Annotated[str | None, typer.Option(help="The person's customer id.")]
DeviceId = Annotated[str | None, typer.Option(help="A device id.")]
CookieId = Annotated[str | None, typer.Option(help="A cookie id.")]
From = Annotated[
    Path | None,
    typer.Option(
        "--identities-from",
        help='A JSON object such as {"email": "…"} from a file, or - for standard input: '
        "so that no identity stands on a command line, where other users of the machine can read it.",
    ),
]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", help="Where the data may live; repeat. All of them if not given."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    request = typer.Typer(help="Emit a privacy request.", no_args_is_help=True)
    for right in RIGHTS:
        request.command(right.value.lower(), help=_help(right))(_request_command(right))
    request.command("verify")(verify)
    app.add_typer(request, name="request")
    consent = typer.Typer(help="Emit a consent change.", no_args_is_help=True)
    consent.command("withdraw")(consent_withdraw)
    consent.command("grant")(consent_grant)
    app.add_typer(consent, name="consent")


_HELP = {
    Right.ERASE: "Ask for a person's data to be deleted or anonymised.",
    Right.ACCESS: "Ask for a copy of a person's data.",
    Right.PORTABILITY: "Ask for a person's data in a machine-readable form.",
    Right.RECTIFY: "Ask for a person's data to be corrected.",
    Right.RESTRICT: "Ask for a person's data to be kept but not used.",
    Right.OBJECT: "Object to the use of a person's data for some purposes.",
}


def _help(right: Right) -> str:
    """What a command says: what it asks for, and how it is typed."""
    purpose = " --purpose marketing" if right is Right.OBJECT else ""
    word = right.value.lower()
    return (
        f"{_HELP[right]}\n\nExamples:\n"
        f"    olvido request {word} --email ana@example.es{purpose}\n"
        f"    olvido request {word} --customer-id C-1042 --region cn{purpose}\n"
        f"    olvido request {word} --identities-from person.json{purpose}"
    )


def _request_command(right: Right) -> Any:  # noqa: ANN401 - Typer reads the signature
    def command(
        email: Email = None,
        phone: Phone = None,
        customer_id: CustomerId = None,
        device_id: DeviceId = None,
        cookie_id: CookieId = None,
        identities_from: From = None,
        region: Regions = None,
        purpose: Annotated[
            list[str] | None, typer.Option(help="What an objection is against; repeat.")
        ] = None,
        request_id: Annotated[
            str | None, typer.Option(help="A UUID of your own: a retry with the same is the same request.")
        ] = None,
        verification_required: Annotated[
            bool, typer.Option(help="Wait until a verification of the person arrives.")
        ] = False,
        output: Form = Output.TABLE,
    ) -> None:
        identities = _identities(email, phone, customer_id, device_id, cookie_id, identities_from)
        with _producer() as producer:
            accepted = producer.request(
                right=right,
                identities=identities,
                regions=region or None,
                purposes=purpose or (),
                request_id=request_id,
                verification_required=verification_required,
            )
        show_one({"request_id": accepted.id, "subject_id": accepted.subject_id}, output=output)
        messages.print(f"accepted; follow it with: olvido requests show {accepted.id}", soft_wrap=True)

    return command


def verify(
    request_id: Annotated[str, typer.Argument(help="The request.")],
    method: Annotated[str, typer.Option(help="How it was checked, such as email_link.")],
    email: Email = None,
    phone: Phone = None,
    customer_id: CustomerId = None,
    device_id: DeviceId = None,
    cookie_id: CookieId = None,
    identities_from: From = None,
    output: Form = Output.TABLE,
) -> None:
    """Say that a request was really made by its subject: what waits as identity_pending goes on.

    Examples:
        olvido request verify REQUEST_ID --method email_link --email ana@example.es
    """
    identities = _identities(email, phone, customer_id, device_id, cookie_id, identities_from)
    with _producer() as producer:
        accepted = producer.verify(
            request_id=request_id, identities=identities, method=method, verified_at=datetime.now(UTC)
        )
    show_one({"event_id": accepted.id, "subject_id": accepted.subject_id}, output=output)


def consent_withdraw(
    purpose: Annotated[str, typer.Option(help="The purpose, such as marketing.")],
    email: Email = None,
    phone: Phone = None,
    customer_id: CustomerId = None,
    device_id: DeviceId = None,
    cookie_id: CookieId = None,
    identities_from: From = None,
    region: Regions = None,
    occurred_at: Annotated[
        datetime | None, typer.Option(help="When the person decided (UTC), if not this very moment.")
    ] = None,
    event_id: Annotated[str | None, typer.Option(help="A UUID of your own.")] = None,
    output: Form = Output.TABLE,
) -> None:
    """A person takes back a consent, for one purpose.

    Examples:
        olvido consent withdraw --purpose marketing --email ana@example.es
        olvido consent withdraw --purpose marketing --identities-from -
    """
    identities = _identities(email, phone, customer_id, device_id, cookie_id, identities_from)
    with _producer() as producer:
        accepted = producer.withdraw_consent(
            identities=identities, purpose=purpose, occurred_at=_decided(occurred_at), regions=region or None,
            event_id=event_id,
        )  # fmt: skip
    show_one({"event_id": accepted.id, "subject_id": accepted.subject_id}, output=output)


def consent_grant(
    purpose: Annotated[str, typer.Option(help="The purpose, such as marketing.")],
    email: Email = None,
    phone: Phone = None,
    customer_id: CustomerId = None,
    device_id: DeviceId = None,
    cookie_id: CookieId = None,
    identities_from: From = None,
    region: Regions = None,
    occurred_at: Annotated[
        datetime | None, typer.Option(help="When the person decided (UTC), if not this very moment.")
    ] = None,
    policy_version: Annotated[str, typer.Option(help="The privacy policy's version they were shown.")] = "",
    event_id: Annotated[str | None, typer.Option(help="A UUID of your own.")] = None,
    output: Form = Output.TABLE,
) -> None:
    """A person gives a consent, for one purpose.

    Examples:
        olvido consent grant --purpose marketing --email ana@example.es --policy-version 7
    """
    identities = _identities(email, phone, customer_id, device_id, cookie_id, identities_from)
    with _producer() as producer:
        accepted = producer.grant_consent(
            identities=identities, purpose=purpose, occurred_at=_decided(occurred_at), regions=region or None,
            policy_version=policy_version, event_id=event_id,
        )  # fmt: skip
    show_one({"event_id": accepted.id, "subject_id": accepted.subject_id}, output=output)


def _producer() -> Any:  # noqa: ANN401 - imported late: it loads librdkafka
    from olvido.operators.settings import deployment
    from olvido.producers import Producer

    return Producer.from_env(purposes=deployment().purposes)


def _decided(occurred_at: datetime | None) -> datetime:
    """At the shell the person decides now, unless told otherwise; a time without a zone is UTC."""
    if occurred_at is None:
        return datetime.now(UTC)
    return occurred_at if occurred_at.tzinfo else occurred_at.replace(tzinfo=UTC)


def _identities(
    email: str | None,
    phone: str | None,
    customer_id: str | None,
    device_id: str | None,
    cookie_id: str | None,
    identities_from: Path | None,
) -> dict[str, str]:
    options = {
        "email": email, "phone": phone, "customer_id": customer_id,
        "device_id": device_id, "cookie_id": cookie_id,
    }  # fmt: skip
    given = {kind: value for kind, value in options.items() if value is not None}
    if identities_from is None:
        if not given:
            raise InvalidInput("identities", "at least one is needed, such as --email or --customer-id")
        return given
    try:
        text = (
            sys.stdin.read() if str(identities_from) == "-" else identities_from.read_text(encoding="utf-8")
        )
        read = json.loads(text)
    except (OSError, ValueError):
        raise InvalidInput("--identities-from", "is not a readable JSON object") from None
    if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
        raise InvalidInput("--identities-from", 'is not an object of strings such as {"email": "…"}')
    return {**given, **read}
