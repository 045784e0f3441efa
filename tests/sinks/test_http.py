"""What is HTTP's own: an answer is believed only if it is exactly an answer to what was asked."""

import logging
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sinks.http_target import HttpTargetApp
from sinks.shop import LATER, a_customer, a_task, an_erasure, identities, settings
from sinks.targets import HttpTarget, served
from starlette.responses import JSONResponse, RedirectResponse, Response

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.outcomes import Outcome
from olvido.core.receipts import stands
from olvido.core.rights.names import Action
from olvido.core.subject import IdentityKind
from olvido.sinks.http import BODY_BYTES_MAX, TASKS_MAX, HttpSink, _retry_after

CANARY = "canary@example.com"


@pytest.fixture
def sink(http_target: HttpTarget) -> Iterator[HttpSink]:
    """A sink of the service, which knows one customer."""
    http_target.add("customers", a_customer(1, email=CANARY))
    sink = http_target.sink()
    http_target.app.requests.clear()
    yield sink
    sink.close()


def first(change: Callable[[dict[str, Any]], object]) -> Callable[[str, Any], Any]:
    """Change the first receipt of an answer."""

    def after(path: str, answer: Any) -> Any:
        if path.endswith("tasks"):
            answer = {"receipts": [dict(receipt) for receipt in answer["receipts"]]}
            change(answer["receipts"][0])
        return answer

    return after


def whole(answer: Callable[[Any], Any]) -> Callable[[str, Any], Any]:
    """Change a whole answer to tasks."""
    return lambda path, given: answer(given) if path.endswith("tasks") else given


JSON = {"media_type": "application/json"}
UNBELIEVABLE = {
    "a receipt for another task": first(lambda r: r.update(idempotency_key="7.0")),
    "a receipt too many": whole(lambda a: {"receipts": a["receipts"] * 2}),
    "no receipt": whole(lambda a: {"receipts": []}),
    "an outcome nobody knows": first(lambda r: r.update(outcome="vanished")),
    "fewer than no rows": first(lambda r: r.update(counts={"customers.deleted": -1})),
    "a count that is no number": first(lambda r: r.update(counts={"customers.deleted": "1"})),
    "a count too large": first(lambda r: r.update(counts={"customers.deleted": 2**62})),
    "no instant": first(lambda r: r.pop("applied_at")),
    "an instant without a zone": first(lambda r: r.update(applied_at="2026-06-01T00:00:00")),
    "an instant to come": first(lambda r: r.update(applied_at="2999-01-01T00:00:00Z")),
    "an instant of long ago": first(lambda r: r.update(applied_at="1970-01-01T00:00:00Z")),
    "a list": whole(lambda a: [a]),
    "null": whole(lambda a: None),
    "HTML": whole(lambda a: Response("<html>welcome</html>", media_type="text/html")),
    "HTML that says it is JSON": whole(lambda a: Response("<html>", **JSON)),
    "nothing": whole(lambda a: Response("", **JSON)),
    "nothing at all": whole(lambda a: Response()),
    "NaN": whole(lambda a: Response('{"receipts": NaN}', **JSON)),
    "a hundred thousand brackets": whole(lambda a: Response("[" * 100_000, **JSON)),
    "more than a receipt can fill": whole(lambda a: Response(" " * (BODY_BYTES_MAX + 1), **JSON)),
    "something compressed": whole(lambda a: Response(b"x", headers={"Content-Encoding": "gzip"}, **JSON)),
    "a redirect": whole(lambda a: RedirectResponse("/elsewhere", 302)),
    "a redirect that keeps the method": whole(lambda a: RedirectResponse("/elsewhere", 307)),
    "accepted, for later": whole(lambda a: JSONResponse(a, 202)),
    "no right": whole(lambda a: Response(status_code=401)),
    "a fault": whole(lambda a: Response(status_code=500)),
    "a fault before it": whole(lambda a: Response(status_code=503)),
}  # fmt: skip


@pytest.mark.parametrize("case", UNBELIEVABLE)
def test_what_is_not_an_answer_is_asked_again_and_the_memory_answers(
    http_target: HttpTarget, sink: HttpSink, case: str
) -> None:
    """Bad inputs B52-B54, failure F29: the effect may be there already; the next answer tells."""
    http_target.app.after = UNBELIEVABLE[case]
    task = an_erasure(email=CANARY)
    with pytest.raises(Unavailable) as caught:
        sink.apply([task])
    assert "sink crm" in str(caught.value)
    assert CANARY not in f"{caught.value!r}"
    assert (
        caught.value.__context__ is None
    )  # the client's error, or pydantic's: they hold what was sent or came
    http_target.app.after = lambda path, answer: answer
    [receipt] = sink.apply([task])
    assert receipt.counts == {"customers.deleted": 1}


def test_twice_the_same_key_is_not_an_answer(http_target: HttpTarget, sink: HttpSink) -> None:
    http_target.app.after = whole(lambda a: {"receipts": [a["receipts"][0]] * 2})
    with pytest.raises(Unavailable, match="twice"):
        sink.apply([an_erasure(email=CANARY), an_erasure(email="b@x.org")])


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_what_the_target_refuses_is_refused(http_target: HttpTarget, sink: HttpSink, status: int) -> None:
    http_target.app.before = lambda path, body: Response(CANARY, status_code=status)
    with pytest.raises(Refused) as caught:
        sink.apply([an_erasure(email=CANARY)])
    assert caught.value.cause is Cause.REFUSED_BY_TARGET
    assert str(status) in caught.value.reason
    assert CANARY not in f"{caught.value!r}"


def test_a_busy_target_says_how_long_to_wait(http_target: HttpTarget, sink: HttpSink) -> None:
    http_target.app.before = lambda path, body: Response(status_code=429, headers={"Retry-After": "7"})
    with pytest.raises(Unavailable) as caught:
        sink.apply([an_erasure(email=CANARY)])
    assert caught.value.retry_after == timedelta(seconds=7)


NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        ("0", 1),
        ("1" * 400, 3600),
        ("1000000000", 3600),
        ("-5", None),
        ("soon", None),
        ("٣", None),
        ("Mon, 01 Jun 2026 12:01:00 GMT", 60),
        ("Mon, 01 Jun 2020 12:00:00 GMT", 1),
        ("Mon, 01 Jun 9999 12:00:00 GMT", 3600),
        ("Mon, 99 Jun 2026 12:00:00 GMT", None),
    ],
)
def test_how_long_to_wait_is_between_a_second_and_an_hour(header: str | None, seconds: int | None) -> None:
    """Bad input B53."""
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert _retry_after(header, NOW) == expected


def test_a_target_that_is_down_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLVIDO_TEST_CRM", "http://127.0.0.1:1")
    sink = HttpSink.from_section(settings({"url": {"env": "OLVIDO_TEST_CRM"}}))
    for act in (sink.check, lambda: sink.apply([an_erasure(email=CANARY)])):
        with pytest.raises(Unavailable, match="ConnectError") as caught:
            act()
        assert caught.value.__context__ is None  # the client's error, which holds what was sent


def test_an_erasure_is_looked_up_afterwards(http_target: HttpTarget, sink: HttpSink) -> None:
    [receipt] = sink.apply([an_erasure(email=CANARY)])
    assert receipt.verified_at is not None
    assert [url.rpartition("/")[2] for url, _, _ in http_target.app.requests] == ["tasks", "lookups"]


def test_an_erasure_that_comes_again_is_looked_up_again_and_gets_the_same_receipt(
    http_target: HttpTarget, sink: HttpSink
) -> None:
    task = an_erasure(email=CANARY)
    first, again = sink.apply([task]), sink.apply([task])
    assert first == again
    assert first[0].verified_at == first[0].applied_at
    assert [url.rpartition("/")[2] for url, _, _ in http_target.app.requests] == ["tasks", "lookups"] * 2


def test_a_person_who_is_back_when_the_erasure_comes_again_is_erased_again(
    http_target: HttpTarget, sink: HttpSink
) -> None:
    """The target's memory answered for ever, and each redrive made the same dead letter."""
    task = an_erasure(email=CANARY)
    [first] = sink.apply([task])
    for _ in range(2):
        http_target.add("customers", a_customer(1, email=CANARY))  # such as by an import of yesterday's file
        http_target.app.requests.clear()
        [again] = sink.apply([task])
        assert http_target.rows("customers") == []
        assert (again.outcome, again.verified_at) == (Outcome.ERASED, again.applied_at)
        assert again.counts == {"customers.deleted": 2}  # what both works deleted
        assert stands(first, again) == first
        keys = [
            body["tasks"][0]["idempotency_key"] for _, _, body in http_target.app.requests if "tasks" in body
        ]
        assert keys[0] == f"{task.task.task_id}.0"
        assert keys[1].startswith(f"{keys[0]}.")
        assert len(keys) == 2


def test_work_that_is_asked_for_again_leaves_a_new_life_alone(
    http_target: HttpTarget, sink: HttpSink
) -> None:
    task = an_erasure(email=CANARY)
    sink.apply([task])
    http_target.add("customers", a_customer(1, email=CANARY), a_customer(2, email=CANARY, created_at=LATER))
    sink.apply([task])
    assert [row[0] for row in http_target.rows("customers")] == [2]


def test_only_those_who_are_found_are_asked_for_again(http_target: HttpTarget, sink: HttpSink) -> None:
    http_target.add("customers", a_customer(2, email="b@x.org"))
    batch = [an_erasure(email=CANARY), an_erasure(email="b@x.org"), an_erasure(email="nobody@x.org")]
    before = sink.apply(batch)
    http_target.add("customers", a_customer(2, email="b@x.org"))
    http_target.app.requests.clear()
    after = sink.apply(batch)
    assert (after[0], after[2]) == (before[0], before[2])
    asked = [
        [one["identities"][0]["value"] for one in body["tasks"]]
        for _, _, body in http_target.app.requests
        if "tasks" in body
    ]
    assert asked == [[CANARY, "b@x.org", "nobody@x.org"], ["b@x.org"]]


def test_what_goes_by_itself_before_the_second_work_stays_erased(
    http_target: HttpTarget, sink: HttpSink
) -> None:
    task = an_erasure(email=CANARY)
    sink.apply([task])
    http_target.add("customers", a_customer(1, email=CANARY))

    def forget_before_the_second(path: str, body: Any) -> None:
        if "tasks" in body and body["tasks"][0]["idempotency_key"] != f"{task.task.task_id}.0":
            http_target.app.customers.clear()

    http_target.app.before = forget_before_the_second
    [receipt] = sink.apply([task])
    assert (receipt.outcome, receipt.counts) == (Outcome.ERASED, {"customers.deleted": 1})
    assert receipt.verified_at is not None


def test_a_target_that_lies_is_found_out(http_target: HttpTarget, sink: HttpSink) -> None:
    told = {"outcome": "erased", "counts": {"customers.deleted": 1}, "applied_at": NOW.isoformat()}
    http_target.app._do_tasks = lambda body: {  # type: ignore[method-assign]
        "receipts": [{"idempotency_key": task["idempotency_key"], **told} for task in body["tasks"]]
    }
    http_target.app._erase = lambda task: told  # type: ignore[method-assign]
    with pytest.raises(Refused) as caught:
        sink.apply([an_erasure(email=CANARY)])
    assert caught.value.cause is Cause.STILL_THERE


def test_a_target_without_lookups_is_believed_but_not_verified(
    http_target: HttpTarget, sink: HttpSink
) -> None:
    http_target.app.before = lambda path, body: Response(status_code=404) if "lookups" in path else None
    [receipt] = sink.apply([an_erasure(email=CANARY)])
    assert (receipt.outcome, receipt.verified_at) == (Outcome.ERASED, None)


def test_one_404_does_not_end_reading_back(
    http_target: HttpTarget, sink: HttpSink, caplog: pytest.LogCaptureFixture
) -> None:
    """A target that was deployed for a minute left all later erasures unverified until the next start."""
    caplog.set_level(logging.INFO, "olvido.sinks")
    http_target.add("customers", *(a_customer(n, email=f"{n}@x.org") for n in range(2, 7)))
    verified = []
    for number, answer in enumerate([404, 404, 200, 404, 200], start=2):
        http_target.app.before = lambda path, body, answer=answer: (
            Response(status_code=404) if "lookups" in path and answer == 404 else None
        )
        [receipt] = sink.apply([an_erasure(email=f"{number}@x.org")])
        verified.append(receipt.verified_at is not None)
    assert verified == [False, False, True, False, True]
    told = [record.levelname for record in caplog.records if "lookups" in record.getMessage()]
    assert told == ["WARNING", "INFO", "WARNING", "INFO"]


def test_a_lookup_that_is_not_answered_is_asked_again(http_target: HttpTarget, sink: HttpSink) -> None:
    http_target.app.after = lambda path, answer: {"lookups": []} if "lookups" in path else answer
    with pytest.raises(Unavailable):
        sink.apply([an_erasure(email=CANARY)])


def test_what_is_sent_is_what_the_protocol_says(http_target: HttpTarget, sink: HttpSink) -> None:
    task = an_erasure(email="Canary@Example.com")
    sink.apply([task])
    url, headers, body = http_target.app.requests[0]
    assert body == {
        "tasks": [
            {
                "idempotency_key": f"{task.task.task_id}.0",
                "action": "ERASE",
                "occurred_at": "2026-06-01T00:00:00+00:00",
                "purposes": [],
                "decision": None,
                "policy_version": "",
                "event_id": None,
                "request_id": str(task.task.request_id),
                "identities": [
                    {
                        "kind": "email",
                        "value": "Canary@Example.com",
                        "normalised": "canary@example.com",
                        "spellings": ["canary@example.com"],
                    }
                ],
                "handles": [{"kind": "email", "value": task.task.subject_id}],
            }
        ]
    }
    assert len(headers["idempotency-key"]) == 64
    assert "canary" not in f"{url}{headers}".lower()


def test_the_same_tasks_in_another_order_have_the_same_key(http_target: HttpTarget, sink: HttpSink) -> None:
    batch = [a_task(Action.ACCESS, identities(email=f"{n}@x.org")) for n in range(3)]
    sink.apply(batch)
    sink.apply(batch[::-1])
    one, other = (headers["idempotency-key"] for _, headers, _ in http_target.app.requests)
    assert one == other


def test_a_large_batch_is_several_requests(http_target: HttpTarget, sink: HttpSink) -> None:
    batch = [a_task(Action.ACCESS, identities(email=f"{n}@x.org")) for n in range(TASKS_MAX + 1)]
    receipts = sink.apply(batch)
    assert [receipt.task_id for receipt in receipts] == [one.task.task_id for one in batch]
    assert [len(body["tasks"]) for _, _, body in http_target.app.requests] == [TASKS_MAX, 1]


def test_the_token_is_sent_and_never_shown(
    http_target: HttpTarget, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OLVIDO_TEST_TOKEN", "t0ken-s3cr3t")
    section = {"url": {"env": "OLVIDO_TEST_CRM"}, "token": {"env": "OLVIDO_TEST_TOKEN"}}
    sink = HttpSink.from_section(settings(section))
    with caplog.at_level(logging.DEBUG):
        sink.check()
        sink.apply([an_erasure(email=CANARY)])
    sink.close()
    assert http_target.app.requests[0][1]["authorization"] == "Bearer t0ken-s3cr3t"
    assert "s3cr3t" not in f"{sink!r}{caplog.text}"
    assert CANARY not in caplog.text


def test_what_a_target_tells_of_the_person_is_withheld(http_target: HttpTarget, sink: HttpSink) -> None:
    http_target.app.after = first(lambda r: r.update(detail="deleted CANARY@example.com for good"))
    [receipt] = sink.apply([an_erasure(email=CANARY)])
    assert receipt.detail == "withheld: it held an identity"


@pytest.mark.parametrize(
    "name",
    [
        "customers.C-82780158",
        "34600123456",
        "customers.34600123456",
        CANARY,
        "Customers.deleted",
        "customers.deleted.ana",
        "customers deleted",
        "a b <c>",
        "kunden.gel\u00f6scht",
        "customers.",
        ".deleted",
        "",
        "customers.deleted\n",
        "a" * 64,
    ],
)
def test_a_count_whose_name_might_be_a_persons_is_left_out_and_said(
    http_target: HttpTarget, sink: HttpSink, name: str
) -> None:
    """What a target counts by is for it to choose, and receipts are read by many."""
    http_target.app.after = first(lambda r: r.update(counts={"customers.deleted": 1, "rows": 2, name: 3}))
    [receipt] = sink.apply([an_erasure(email=CANARY)])
    assert receipt.counts == {"customers.deleted": 1, "rows": 2}
    assert receipt.detail == "counts left out for their names: 1"


def test_a_count_that_is_named_after_the_person_is_left_out(http_target: HttpTarget, sink: HttpSink) -> None:
    http_target.app.after = first(
        lambda r: r.update(counts={"rows.ana_rios": 1, "rows": 1}, detail="ana_rios is gone")
    )
    [receipt] = sink.apply([an_erasure(customer_id="Ana_Rios")])
    assert receipt.counts == {"rows": 1}
    assert receipt.detail == "counts left out for their names: 1; withheld: it held an identity"


def test_a_zero_character_in_what_a_target_says_is_replaced(http_target: HttpTarget, sink: HttpSink) -> None:
    """A receipt with one would be taken by no recorder."""
    http_target.app.after = first(lambda r: r.update(detail="row\0gone"))
    [receipt] = sink.apply([an_erasure(email=CANARY)])
    assert receipt.detail == "row\N{REPLACEMENT CHARACTER}gone"


def test_strange_characters_travel(http_target: HttpTarget, sink: HttpSink) -> None:
    [receipt] = sink.apply([an_erasure(customer_id="\ud800\x00李明")])
    assert receipt.outcome is Outcome.NOT_FOUND


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("ftp://example.com", "http"),
        ("example.com", "http"),
        ("https://me:s3cr3t@example.com", "token"),
        ("https://example.com/?key=s3cr3t", "token"),
        ("http://[::1", "not a URL"),
    ],
)
def test_an_address_that_cannot_serve_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str, what: str
) -> None:
    monkeypatch.setenv("OLVIDO_TEST_CRM", url)
    with pytest.raises(ConfigError, match=what) as caught:
        HttpSink.from_section(settings({"url": {"env": "OLVIDO_TEST_CRM"}}))
    assert "sinks.crm.url" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://crm.example.com", "HTTP://10.0.0.5:80", "http://127.1:80", "http://169.254.169.254/latest"],
)
def test_an_address_in_clear_is_refused_unless_the_section_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    monkeypatch.setenv("OLVIDO_TEST_CRM", url)
    with pytest.raises(ConfigError, match="insecure = true") as caught:
        HttpSink.from_section(settings({"url": {"env": "OLVIDO_TEST_CRM"}}))
    assert "sinks.crm.url" in str(caught.value)
    HttpSink.from_section(settings({"url": {"env": "OLVIDO_TEST_CRM"}, "insecure": True})).close()
    assert "whoever is on the way reads identities and token" in caplog.text


@pytest.mark.parametrize(
    "url",
    ["https://crm.example.com", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]", "http://localhost"],
)
def test_an_address_that_nobody_else_can_read_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OLVIDO_TEST_CRM", url)
    HttpSink.from_section(settings({"url": {"env": "OLVIDO_TEST_CRM"}})).close()


def test_a_service_that_does_not_speak_the_protocol_is_refused_at_the_start(http_target: HttpTarget) -> None:
    http_target.app.before = lambda path, body: Response(status_code=404)
    with pytest.raises(ConfigError, match="speaks the task protocol"):
        http_target.sink()


def test_a_path_before_the_protocols_own_is_kept(
    http_target: HttpTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLVIDO_TEST_CRM", http_target.url + "/shop/")
    sink = HttpSink.from_section(settings({"url": {"env": "OLVIDO_TEST_CRM"}}))
    with pytest.raises(ConfigError):
        sink.check()
    assert str(sink._client.base_url) == http_target.url + "/shop/"
    sink.close()


def test_a_target_is_told_no_identity_of_a_kind_that_it_does_not_look_people_up_by(
    http_target: HttpTarget,
) -> None:
    told = replace(settings({"url": {"env": "OLVIDO_TEST_CRM"}}), identities=(IdentityKind.EMAIL,))
    sink = HttpSink.from_section(told)
    http_target.add("customers", a_customer(1, email=CANARY))
    sink.apply([a_task(Action.ERASE, identities(customer_id="C-1", email=CANARY, phone="+34600000001"))])
    sink.close()
    bodies = [body for _, _, body in http_target.app.requests]
    asked = [one for body in bodies for one in (*body.get("tasks", ()), *body.get("lookups", ()))]
    assert [[i["kind"] for i in one["identities"]] for one in asked] == [["email"], ["email"]]
    assert [handle["kind"] for one in asked for handle in one.get("handles", ())] == ["email"]
    assert [secret for secret in ("C-1", "+34600000001") if secret in str(bodies)] == []


def test_no_proxy_of_the_environment_gets_identities_or_the_token(
    sink: HttpSink, http_target: HttpTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy was given both in clear, for a target on the same machine at that."""
    proxy = HttpTargetApp()
    with served(proxy) as address:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        behind = http_target.sink()
        [receipt] = behind.apply([an_erasure(email=CANARY)])
        behind.close()
    assert receipt.outcome is Outcome.ERASED
    assert proxy.requests == []


class Proxy(socketserver.ThreadingTCPServer):
    """Keeps the head of each request, and refuses to carry it."""

    heads: list[bytes]

    class Handler(socketserver.StreamRequestHandler):
        server: "Proxy"

        def handle(self) -> None:
            head = b""
            while (line := self.rfile.readline()).strip():
                head += line
            self.server.heads.append(head)
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def __enter__(self) -> "Proxy":
        self.heads = []
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


def proxied(monkeypatch: pytest.MonkeyPatch, *, url: str, proxy: str, **own: object) -> HttpSink:
    """A sink behind a proxy that its section names."""
    for name, value in (("URL", url), ("PROXY", proxy), ("TOKEN", "t0ken-s3cr3t")):
        monkeypatch.setenv(f"OLVIDO_TEST_{name}", value)
    secrets = {key: {"env": f"OLVIDO_TEST_{key.upper()}"} for key in ("url", "proxy", "token")}
    return HttpSink.from_section(settings({**secrets, **own}))


def test_a_proxy_that_the_section_names_carries_what_it_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(("127.0.0.1", 0), Proxy.Handler) as proxy:
        sink = proxied(monkeypatch, url="https://crm.example.com", proxy=f"http://me:pa55@{proxy.address}")
        with pytest.raises(Unavailable) as caught:
            sink.apply([an_erasure(email=CANARY)])
        sink.close()
    [head] = proxy.heads
    assert head.startswith(b"CONNECT crm.example.com:443 HTTP/1.1")
    assert b"Proxy-Authorization: Basic" in head
    assert b"t0ken" not in head
    assert "pa55" not in f"{caught.value!r}{sink!r}"


def test_a_proxy_would_read_what_goes_in_clear_to_a_target_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Proxy(("127.0.0.1", 0), Proxy.Handler) as proxy:
        addresses = {"url": "http://127.0.0.1:9", "proxy": f"http://{proxy.address}"}
        with pytest.raises(ConfigError, match="its proxy reads identities and token"):
            proxied(monkeypatch, **addresses)
        sink = proxied(monkeypatch, **addresses, insecure=True)
        with pytest.raises(Unavailable):
            sink.apply([an_erasure(email=CANARY)])
        sink.close()
    [head] = proxy.heads
    assert head.startswith(b"POST http://127.0.0.1:9/olvido/v1/tasks HTTP/1.1")


@pytest.mark.parametrize(
    "proxy",
    ["", "proxy.example:3128", "socks5://proxy.example", "http://", "http://p/?a=s3cr3t", "http://[::1"],
)
def test_a_proxy_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    with pytest.raises(ConfigError, match=r"sinks\.crm\.proxy|OLVIDO_TEST_PROXY") as caught:
        proxied(monkeypatch, url="https://crm.example.com", proxy=proxy)
    assert "s3cr3t" not in str(caught.value)
