"""`olvido request …` and `olvido consent …`: what upstream services emit, from the shell."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from olvido.core.errors import Unavailable
from olvido.core.rights.known import RIGHTS
from olvido.core.rights.names import Right
from olvido.operators.cli.identities import Identities
from olvido.operators.cli.options import spread
from olvido.operators.cli.output import Form, Output, messages, show, show_one

if TYPE_CHECKING:
    from olvido.producers import Producer

Regions = Annotated[
    list[str] | None,
    typer.Option("--region", help="Where the data may live; repeat. All of them if not given."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    request = typer.Typer(help="Emit a privacy request.", no_args_is_help=True)
    for right in RIGHTS:
        request.command(_command(right), help=_help(right))(spread(_request_command(right)))
    request.command("verify")(spread(verify))
    app.add_typer(request, name="request")
    consent = typer.Typer(help="Emit a consent change, or look at what stands.", no_args_is_help=True)
    consent.command("withdraw")(spread(consent_withdraw))
    consent.command("grant")(spread(consent_grant))
    consent.command("show")(spread(consent_show))
    app.add_typer(consent, name="consent")


def _command(right: Right) -> str:
    return right.value.lower().replace("_", "-")


def _help(right: Right) -> str:
    """What a command says: what it asks for, and how it is typed."""
    asked = RIGHTS[right]
    purpose = " --purpose marketing" if asked.takes_purposes else ""
    word = _command(right)
    return (
        f"{asked.summary}\n\nExamples:\n"
        f"    olvido request {word} --email ana@example.es{purpose}\n"
        f"    olvido request {word} --customer-id C-1042 --region cn{purpose}\n"
        f"    olvido request {word} --identities-from person.json{purpose}"
    )


def _request_command(right: Right) -> Callable[..., None]:
    def command(
        person: Identities,
        region: Regions = None,
        purpose: Annotated[
            list[str] | None,
            typer.Option(help="What an objection is against, or its withdrawal about; repeat."),
        ] = None,
        request_id: Annotated[
            str | None, typer.Option(help="A UUID of your own: a retry with the same is the same request.")
        ] = None,
        verification_required: Annotated[
            bool, typer.Option(help="Wait until a verification of the person arrives.")
        ] = False,
        jurisdiction: Annotated[
            str, typer.Option(help="Under whose law the person asks, such as ES or US-CA.")
        ] = "",
        output: Form = Output.TABLE,
    ) -> None:
        identities = person.required()
        with _producer("--request-id") as producer:
            accepted = producer.request(
                right=right,
                identities=identities,
                regions=region or None,
                purposes=purpose or (),
                request_id=request_id,
                verification_required=verification_required,
                jurisdiction=jurisdiction,
            )
        show_one({"request_id": accepted.id, "subject_id": accepted.subject_id}, output=output)
        messages.print(f"accepted; follow it with: olvido requests show {accepted.id}", soft_wrap=True)

    return command


def verify(
    request_id: Annotated[str, typer.Argument(help="The request.")],
    method: Annotated[str, typer.Option(help="How it was checked, such as email_link.")],
    person: Identities,
    output: Form = Output.TABLE,
) -> None:
    """Say that a request was really made by its subject: what waits as identity_pending goes on.

    Examples:
        olvido request verify REQUEST_ID --method email_link --email ana@example.es
    """
    identities = person.required()
    with _producer(principal="verifier") as producer:
        accepted = producer.verify(
            request_id=request_id, identities=identities, method=method, verified_at=datetime.now(UTC)
        )
    show_one({"event_id": accepted.id, "subject_id": accepted.subject_id}, output=output)
    messages.print(f"accepted; follow it with: olvido requests show {request_id}", soft_wrap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a person decides, about what, and when."""

    purpose: Annotated[str, typer.Option(help="The purpose, such as marketing.")]
    region: Regions = None
    occurred_at: Annotated[
        datetime | None, typer.Option(help="When the person decided (UTC), if not this very moment.")
    ] = None
    event_id: Annotated[
        str | None, typer.Option(help="A UUID of your own: a retry with the same is the same change.")
    ] = None

    @property
    def decided_at(self) -> datetime:
        """At the shell the person decides now, unless another time is given; one without a zone is UTC."""
        if self.occurred_at is None:
            return datetime.now(UTC)
        return self.occurred_at if self.occurred_at.tzinfo else self.occurred_at.replace(tzinfo=UTC)


def consent_withdraw(person: Identities, change: Change, output: Form = Output.TABLE) -> None:
    """A person takes back a consent, for one purpose.

    Examples:
        olvido consent withdraw --purpose marketing --email ana@example.es
        olvido consent withdraw --purpose marketing --identities-from -
    """
    identities = person.required()
    with _producer("--event-id") as producer:
        accepted = producer.withdraw_consent(
            identities=identities, purpose=change.purpose, occurred_at=change.decided_at,
            regions=change.region or None, event_id=change.event_id,
        )  # fmt: skip
    show_one({"event_id": accepted.id, "subject_id": accepted.subject_id}, output=output)
    _follow_consent()


def consent_grant(
    person: Identities,
    change: Change,
    policy_version: Annotated[str, typer.Option(help="The privacy policy's version they were shown.")] = "",
    output: Form = Output.TABLE,
) -> None:
    """A person gives a consent, for one purpose.

    Examples:
        olvido consent grant --purpose marketing --email ana@example.es --policy-version 7
    """
    identities = person.required()
    with _producer("--event-id") as producer:
        accepted = producer.grant_consent(
            identities=identities, purpose=change.purpose, occurred_at=change.decided_at,
            regions=change.region or None, policy_version=policy_version, event_id=change.event_id,
        )  # fmt: skip
    show_one({"event_id": accepted.id, "subject_id": accepted.subject_id}, output=output)
    _follow_consent()


def consent_show(person: Identities, output: Form = Output.TABLE) -> None:
    """Show what a person has decided about each purpose, as it stands.

    They are found by handles that this machine computes with its handle key; the address goes nowhere.

    Examples:
        olvido consent show --email ana@example.es
        olvido consent show --identities-from - -o json
    """
    from olvido.operators.desk.people import consents_of, handles_of
    from olvido.operators.settings import deployment

    declared = deployment()
    consents = consents_of(declared, handles_of(declared, person.required()))
    columns = ("purpose", "decision", "occurred_at", "identity", "policy_version", "late")
    show(consents, columns, output=output, empty="nothing is known of any consent of this person")


def _follow_consent() -> None:
    # The address is not repeated: it would stand in the terminal's log once more.
    messages.print("accepted; follow it with the same person: olvido consent show …", soft_wrap=True)


@contextmanager
def _producer(id_option: str | None = None, *, principal: str = "producer") -> "Iterator[Producer]":
    """What emits; an event that may have arrived or not is given with the option that repeats it."""
    from olvido.operators.settings import deployment, own_signing_file
    from olvido.producers import NotAccepted, Producer

    declared = deployment()
    keys = declared.keys.model_copy(update={"signing_file": own_signing_file(declared, principal)})
    try:
        with Producer.of(declared.model_copy(update={"keys": keys})) as producer:
            yield producer
    except NotAccepted as error:
        again = f"with {id_option} {error.id}: then it is the same" if id_option else "as it was"
        raise Unavailable(
            f"{error.__cause__}; it may have arrived or not. Repeat the command {again}",
            retry_after=error.retry_after,
        ) from error
