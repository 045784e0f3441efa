"""Tasks over HTTP to a system that speaks Olvido's small task protocol (docs/sinks/http.md).

An answer is believed only if it is exactly an answer to what was asked: the right keys, once
each, outcomes of the closed list. Anything else is no answer, and the batch comes again. No
identity is ever in a URL, a log line or an exception.
"""

import hashlib
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, TypeVar
from uuid import uuid4

import httpx2
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from olvido.core.causes import Cause
from olvido.core.errors import Refused, Unavailable
from olvido.core.events import EARLIEST
from olvido.core.instants import CLOCK_SKEW_MAX
from olvido.core.loopback import is_loopback
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.rights.unknown import Unknown
from olvido.core.rights.what import Particulars
from olvido.core.subject import Identity, IdentityKind
from olvido.core.tasks import Task
from olvido.schemas.settings.deployment import Secret
from olvido.sinks.contract import OpenedTask, SinkSettings
from olvido.sinks.section import SectionPart, fault, read_section

log = logging.getLogger("olvido.sinks")

TASKS_PATH = "/olvido/v1/tasks"
LOOKUPS_PATH = "/olvido/v1/lookups"
TASKS_MAX = 500  # in one POST
BODY_BYTES_MAX = 1024 * 1024  # of an answer; 500 receipts of two kilobytes
ANSWER_S_MAX = 60.0  # of reading one: a target that drips must not hold its sink for ever
TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
RETRY_AFTER_MIN = timedelta(seconds=1)
RETRY_AFTER_MAX = timedelta(hours=1)
DETAIL_MAX = 1000
COUNTS_MAX = 100  # names in one receipt
# contacts.deleted. No digit, no hyphen and no capital: a name may not be a customer's number or a phone's.
COUNT_NAME = re.compile(r"[a-z_]{1,63}(\.[a-z_]{1,63})?")
COUNT_MAX = 2**62  # two counts are added, and a receipt holds less than 2**63
REFUSALS = frozenset({400, 404, 409, 413, 422})  # of what was sent; anything else may pass by itself
PROXY_SCHEMES = frozenset({"http", "https"})

A = TypeVar("A", bound=BaseModel)


class _Section(SectionPart):
    url: Secret
    token: Secret | None = None
    proxy: Secret | None = None  # its address, perhaps with a user and a password
    insecure: bool = False  # identities may travel over a network that anybody in it can read


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Receipt(_Answer):
    idempotency_key: str
    outcome: Annotated[Outcome, Field(strict=False)]
    counts: dict[str, Annotated[int, Field(ge=0, lt=COUNT_MAX)]] = Field(
        default_factory=dict, max_length=COUNTS_MAX
    )
    detail: str = ""
    applied_at: Annotated[AwareDatetime, Field(strict=False)]


class _Receipts(_Answer):
    receipts: list[_Receipt]


class _Lookup(_Answer):
    idempotency_key: str
    found: bool


class _Lookups(_Answer):
    lookups: list[_Lookup]


class HttpSink:
    """One HTTP API that holds personal data."""

    section = _Section

    not_rehearsed = "its target cannot take back what it has done"

    def __init__(
        self, settings: SinkSettings, url: str, *, token: str = "", proxy: str | None = None
    ) -> None:
        self._name = settings.name
        self._kinds = frozenset(settings.identities)
        self._lookups = True  # what the target last answered; until then it has them
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "olvido"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # Not by the environment: a proxy that it names would get identities and the token in clear.
        self._client = httpx2.Client(
            base_url=url,
            headers=headers,
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            proxy=proxy,
            # In clear there is no certificate to verify: what the machine trusts is not read (30 ms of CPU).
            verify=httpx2.URL(url).scheme == "https",
        )

    @classmethod
    def from_section(cls, settings: SinkSettings) -> "HttpSink":
        """Make one out of ``sinks.<name>``: ``url``, ``token``, ``proxy``, ``insecure``. Connect to nothing.

        Raises:
            ConfigError: naming the key and the fix.
        """
        section = read_section(_Section, settings)
        place = f"sinks.{settings.name}"
        proxy = _checked_proxy(section.proxy.read(key=f"{place}.proxy"), place) if section.proxy else None
        url = _checked_url(section.url.read(key=f"{place}.url"), place)
        if url.startswith("http://") and (proxy or not is_loopback(httpx2.URL(url).host)):
            _check_insecure(section, settings.name, place, proxied=proxy is not None)
        token = section.token.read(key=f"{place}.token") if section.token else ""
        if not token.isascii() or not token.isprintable() or " " in token:
            raise fault(f"{place}.token", "holds what no header can hold; give the bare token")
        return cls(settings, url, token=token, proxy=proxy)

    def __repr__(self) -> str:
        return f"HttpSink({self._name})"

    def check(self) -> Sequence[str]:
        """See :meth:`olvido.sinks.contract.Sink.check`. Sends no task at all, and wants no receipt back."""
        try:
            answer = self._ask(TASKS_PATH, {"tasks": []}, _Receipts, keys=[])
        except Refused:
            answer = None
        if answer is None or answer.receipts:
            raise fault(f"sinks.{self._name}.url", f"nothing there speaks the task protocol at {TASKS_PATH}")
        return ()

    def install(self) -> None:
        """Nothing: the target keeps its own journal."""

    def ping(self) -> None:
        """See :meth:`olvido.sinks.contract.Sink.ping`. It asks what :meth:`check` asks: an empty request."""
        self.check()

    def apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        """See :meth:`olvido.sinks.contract.Sink.apply`.

        A batch of more than 500 tasks is several requests. One that fails is brought again with
        those that did not, which the target answers from its memory by their keys.
        """
        receipts: list[Receipt] = []
        for start in range(0, len(batch), TASKS_MAX):
            receipts += self._apply(batch[start : start + TASKS_MAX])
        return receipts

    def idle(self) -> None:
        """Nothing that could wait."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _apply(self, batch: Sequence[OpenedTask]) -> list[Receipt]:
        asked = {_key(one.task): one for one in batch}
        answers = self._work(asked)
        # The look is part of the work, and so named by the work's own instant, which the target remembers: a
        # task that comes again is looked up again and gets the same receipt.
        gone, there = self._read_back(asked, answers)
        if there:
            # The target answered from its memory and the person is back, or it did not do what it said. Its
            # memory would answer so for ever: the work is asked for once more, under keys that are new to it.
            # If we die in between, the same happens again, and erases only what is older than the request.
            again = self._work({key: asked[key] for key in there}, mark=f".{uuid4().hex}")
            answers = {**answers, **{key: _both(answers[key], answer) for key, answer in again.items()}}
            gone, there = self._read_back(asked, answers)
        if there:
            raise Refused(
                Cause.STILL_THERE, reason="looked up after the work, the target still finds the person"
            )
        return [_receipt(one, answers[key], verified=key in gone) for key, one in asked.items()]

    def _work(self, asked: Mapping[str, OpenedTask], *, mark: str = "") -> Mapping[str, _Receipt]:
        """Have the target do tasks; its answer to each. A ``mark`` makes keys that are new to it."""
        marked = {key + mark: one for key, one in asked.items()}
        tasks = [_task(one, key, self._kinds) for key, one in marked.items()]
        answer = self._ask(TASKS_PATH, {"tasks": tasks}, _Receipts, keys=marked)
        receipts = self._each_once(answer.receipts, marked)
        latest = datetime.now(UTC) + CLOCK_SKEW_MAX
        if not all(EARLIEST <= receipt.applied_at <= latest for receipt in receipts.values()):
            raise self._garbled("an applied_at that cannot be")
        return {key: receipts[key + mark] for key in asked}

    def _read_back(
        self, asked: Mapping[str, OpenedTask], answers: Mapping[str, _Receipt]
    ) -> tuple[Set[str], Set[str]]:
        """Search for those who are said to be gone: the keys of those who are, and of those who are found.

        A target without lookups is asked each time: one answer of 404 may come from a deployment that lasts a
        minute. It costs such a target a request for each batch that erases somebody.
        """
        claimed = {key: one for key, one in asked.items() if _claims_gone(one.task, answers[key])}
        if not claimed:
            return frozenset(), frozenset()
        lookups = [_lookup(one, key, self._kinds) for key, one in claimed.items()]
        try:
            answer = self._ask(LOOKUPS_PATH, {"lookups": lookups}, _Lookups, keys=claimed)
        except _NotThere:
            self._note_lookups(there=False)
            return frozenset(), frozenset()
        self._note_lookups(there=True)
        found = self._each_once(answer.lookups, claimed)
        there = {key for key, one in found.items() if one.found}
        return claimed.keys() - there, there

    def _note_lookups(self, *, there: bool) -> None:
        """Log once, and not with each batch, that what the target answers to lookups has changed."""
        if there and not self._lookups:
            log.info("sink %s: it has lookups again, so its erasures are verified", self._name)
        if not there and self._lookups:
            log.warning(
                "sink %s: it has no lookups, so its erasures are attested and not verified", self._name
            )
        self._lookups = there

    def _each_once(self, answers: Sequence[Any], asked: Mapping[str, OpenedTask]) -> Mapping[str, Any]:
        by_key = {one.idempotency_key: one for one in answers}
        if len(by_key) != len(answers):
            raise self._garbled("one task answered twice")
        if by_key.keys() != asked.keys():
            raise self._garbled("other tasks than those it was asked")
        return by_key

    def _ask(self, path: str, body: Mapping[str, object], model: type[A], *, keys: Iterable[str]) -> A:
        """One request, and an answer that is what it should be.

        Raises:
            Unavailable: no answer, or not one that can be believed.
            Refused: the target refuses what was sent.
        """
        headers = {"Idempotency-Key": _digest(keys), "Content-Type": "application/json"}
        content = json.dumps(body).encode()
        try:
            with self._client.stream("POST", path, content=content, headers=headers) as response:
                self._check_status(path, response)
                answer = self._read(response)
            return model.model_validate_json(answer)
        except httpx2.HTTPError as error:
            # Its request holds the body: only the kind of the error is handed on.
            fault = Unavailable(f"sink {self._name}: no answer ({type(error).__name__}); it is asked again")
        except ValidationError as error:
            # The place is made of our names and numbers; the value stays out of it.
            place = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"][:3])
            fault = self._garbled(f"not what the protocol says at {place or 'the top'}")
        # Out of the blocks: these errors hold what was sent and answered, and would be this one's context.
        raise fault

    def _check_status(self, path: str, response: httpx2.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 404 and path == LOOKUPS_PATH:
            raise _NotThere
        if status in REFUSALS:
            raise Refused(Cause.REFUSED_BY_TARGET, reason=f"the target answered {status}")
        why = {401: "does not accept the token", 403: "does not allow it"}.get(status, "")
        if 300 <= status < 400:
            why = "redirects, which is not followed; mend the url"
        raise Unavailable(
            f"sink {self._name}: the target answered {status}{why and ': it ' + why}; it is asked again",
            retry_after=_retry_after(response.headers.get("Retry-After"), datetime.now(UTC)),
        )

    def _read(self, response: httpx2.Response) -> bytes:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise self._garbled("an answer that is not application/json")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._garbled("a compressed answer, which nobody asked for")
        content = bytearray()
        give_up_at = time.monotonic() + ANSWER_S_MAX
        for part in response.iter_bytes():
            content += part
            if time.monotonic() > give_up_at:
                raise self._garbled(f"an answer that took more than {ANSWER_S_MAX:.0f} s to read")
            if len(content) > BODY_BYTES_MAX:
                raise self._garbled(f"an answer of more than {BODY_BYTES_MAX} bytes")
        return bytes(content)

    def _garbled(self, what: str) -> Unavailable:
        return Unavailable(f"sink {self._name}: the target gave {what}; it is asked again")


class _NotThere(Exception):
    """The target has no such path."""


def _key(task: Task) -> str:
    """The task's key as text."""
    return "{}.{}".format(*task.key)


def _digest(keys: Iterable[str]) -> str:
    """The key of a whole request: the same tasks in any order have the same."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


def _task(one: OpenedTask, key: str, kinds: Set[IdentityKind]) -> dict[str, object]:
    task = one.task
    # What the fields of an action of a newer version mean is not known here, so they are not handed on.
    asked = Particulars() if isinstance(task.what, Unknown) else task.what.particulars
    return {
        "idempotency_key": key,
        "action": task.action.value,
        "occurred_at": task.effective_at.isoformat(),
        "purposes": list(asked.purposes),
        "decision": asked.decision.value if asked.decision else None,
        "policy_version": asked.policy_version,
        "event_id": str(task.event_id) if task.event_id else None,
        "request_id": str(task.request_id) if task.request_id else None,
        "identities": _identities(one, kinds),
        "handles": [
            {"kind": handle.kind.value, "value": handle.value}
            for handle in task.handles
            if handle.kind in kinds
        ],
    }


def _lookup(one: OpenedTask, key: str, kinds: Set[IdentityKind]) -> dict[str, object]:
    return {
        "idempotency_key": key,
        "occurred_at": one.task.effective_at.isoformat(),
        "identities": _identities(one, kinds),
    }


def _identities(one: OpenedTask, kinds: Set[IdentityKind]) -> list[dict[str, object]]:
    """Those by which the target looks people up: what else is known of a person is none of its business."""
    return [
        {
            "kind": identity.kind.value,
            "value": identity.value,
            "normalised": identity.normalised,
            "spellings": _apart(identity),
        }
        for identity in one.identities
        if identity.kind in kinds
    ]


def _apart(identity: Identity) -> list[str]:
    """The spellings of an identity, without those that case alone tells apart: the protocol overlooks it."""
    apart: dict[str, str] = {}
    for spelling in identity.spellings:
        apart.setdefault(spelling.lower() if identity.kind is IdentityKind.EMAIL else spelling, spelling)
    return list(apart.values())


def _claims_gone(task: Task, receipt: _Receipt) -> bool:
    return receipt.outcome in task.what.gone


def _both(first: _Receipt, second: _Receipt) -> _Receipt:
    """What two works of one task come to: the second is what stands, and both are counted."""
    rows = Counter(first.counts)
    rows.update(second.counts)
    # Between the two somebody else may have removed what the lookup found.
    outcome = first.outcome if second.outcome is Outcome.NOT_FOUND else second.outcome
    return second.model_copy(update={"outcome": outcome, "counts": dict(rows)})


def _receipt(one: OpenedTask, answer: _Receipt, *, verified: bool) -> Receipt:
    """The receipt of a task, without what might name a person: receipts are read by many."""
    applied_at = answer.applied_at.astimezone(UTC)
    counts = {
        name: rows
        for name, rows in answer.counts.items()
        if COUNT_NAME.fullmatch(name) and not _holds_one(name, one.identities)
    }
    detail = answer.detail
    if _holds_one(detail, one.identities):
        detail = "withheld: it held an identity"
    if left_out := len(answer.counts) - len(counts):
        detail = f"counts left out for their names: {left_out}{detail and '; ' + detail}"
    return receipt_for(
        one.task,
        answer.outcome,
        applied_at=applied_at,
        verified_at=applied_at if verified else None,
        counts=counts,
        # A zero character would make the receipt one that no recorder takes.
        detail=detail[:DETAIL_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}"),
    )


def _holds_one(text: str, identities: Sequence[Identity]) -> bool:
    """Whether a text holds an identity in any of its spellings."""
    folded = text.casefold()
    return any(spelling.casefold() in folded for identity in identities for spelling in identity.spellings)


def _retry_after(header: str | None, now: datetime) -> timedelta | None:
    """How long to wait, in 1 s to 1 h: RFC 9110 §10.2.3, seconds or a date."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        asked = timedelta(seconds=min(int(header[:12]), int(RETRY_AFTER_MAX.total_seconds())))
    else:
        try:
            asked = parsedate_to_datetime(header).astimezone(UTC) - now
        except (ValueError, OverflowError):
            return None
    return min(max(asked, RETRY_AFTER_MIN), RETRY_AFTER_MAX)


def _checked_url(text: str, place: str) -> str:
    """The base address, without what could hold a secret or an identity."""
    url = _url(text, f"{place}.url")
    if url.scheme not in {"http", "https"} or not url.host:
        raise fault(f"{place}.url", "is not an http:// or https:// address")
    if url.userinfo or url.query or url.fragment:
        raise fault(f"{place}.url", "has a user, a query or a fragment; give a secret as token")
    return str(url).rstrip("/")


def _checked_proxy(text: str, place: str) -> str:
    url = _url(text, f"{place}.proxy")
    if url.scheme not in PROXY_SCHEMES or not url.host or url.query or url.fragment or url.path != "/":
        raise fault(f"{place}.proxy", "is not the address of a proxy, such as http://proxy.example:3128")
    return str(url)


def _url(text: str, place: str) -> httpx2.URL:
    try:
        return httpx2.URL(text)
    except httpx2.InvalidURL:
        raise fault(place, "is not a URL") from None


def _check_insecure(section: _Section, name: str, place: str, *, proxied: bool) -> None:
    """Refuse an address in clear, which others can read on the way, unless the section allows it."""
    readers = "its proxy reads" if proxied else "whoever is on the way reads"
    if not section.insecure:
        raise fault(
            f"{place}.url",
            f"is not https, so {readers} identities and token: give an https:// address, or "
            "write insecure = true",
        )
    log.warning("sink %s: its url is not https, so %s identities and token", name, readers)
