"""A row is found in whichever form its system writes the person, whichever one upstream sent."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence

from sinks.shop import a_customer, a_task
from sinks.targets import DuckDBTarget, PostgresTarget, Target, make_sink

from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action
from olvido.core.subject import IdentityKind
from olvido.schemas.privacy.identities import normalise

EMAIL, PHONE = IdentityKind.EMAIL, IdentityKind.PHONE

# The rows that are one person's, and at the end of each list the row of somebody else.
WRITTEN = {
    "an address of another script": (
        EMAIL,
        [
            "zo\u00eb@b\u00fccher.example",
            "zo\u00eb@xn--bcher-kva.example",
            "zoe\u0308@bu\u0308cher.example",
            "zoe\u0308@xn--bcher-kva.example",
            "zo\u00eb@B\u00fccher.Example",
            "zoe@bucher.example",
        ],
    ),
    "a domain of another script": (
        EMAIL,
        ["ana@pe\u00f1a.example", "ana@xn--pea-8ma.example", "ana@pen\u0303a.example", "ana@pena.example"],
    ),
    "a Mexican mobile": (PHONE, ["+525512345678", "+5215512345678", "+521551234567"]),
    "an Argentine mobile": (PHONE, ["+5491123456789", "+541123456789", "+54911234567"]),
}


def test_all_rows_of_a_person_are_found_by_each_form(target: Target) -> None:
    sink = target.sink()
    numbers = itertools.count(1)
    left, others = [], []
    for kind, written in WRITTEN.values():
        others.append(next(numbers))
        target.add("customers", a_customer(others[-1], customer_no=None, **{kind.value: written[-1]}))
        for form in written[:-1]:
            rows = [
                a_customer(next(numbers), customer_no=None, **{kind.value: text}) for text in written[:-1]
            ]
            target.add("customers", *rows)
            [receipt] = sink.apply([a_task(Action.ERASE, (normalise(kind, form),))])
            left.append((form, receipt.outcome, [row[0] for row in target.rows("customers")] == others))
    sink.close()
    assert left == [(form, Outcome.ERASED, True) for _, written in WRITTEN.values() for form in written[:-1]]


def test_a_column_whose_collation_folds_ascii_alone_is_searched_for_capitals(
    postgres_target: PostgresTarget,
) -> None:
    """Under the collation "C", the lower case of MARCIANO-S\u00c1ENZ keeps its \u00c1."""
    postgres_target.run('ALTER TABLE customers ALTER COLUMN email TYPE text COLLATE "C"')
    held = ["MARCIANO-S\u00c1ENZ@X.EXAMPLE", "Marciano-S\u00e1enz@X.example", "MARCIANO-SAENZ@X.EXAMPLE"]
    rows = [a_customer(n, customer_no=None, email=email) for n, email in enumerate(held)]
    postgres_target.add("customers", *rows)
    sink = postgres_target.sink()
    [receipt] = sink.apply([a_task(Action.ERASE, (normalise(EMAIL, "marciano-s\u00e1enz@x.example"),))])
    sink.close()
    assert receipt.counts == {"customers.deleted": 2}
    assert [row[0] for row in postgres_target.rows("customers")] == [2]


def sha256(text: str) -> str:
    """As a target computes it."""
    return hashlib.sha256(text.encode()).hexdigest()


# What the data map says of the column, who asks, and what rows hold: the person's, and somebody else's.
FORMS: Mapping[str, tuple[IdentityKind, str, Sequence[str], Sequence[str]]] = {
    "e164": (PHONE, "+34 600 000 007", ["+34600000007"], ["600000007", "34600000007"]),
    "digits": (PHONE, "+34 600 000 007", ["34600000007", "0034600000007"], ["600000007", "3460000000"]),
    "national:ES": (PHONE, "+34 600 000 007", ["600000007"], ["600000008", "60000000"]),
    "national:GB": (PHONE, "+44 20 7946 0018", ["2079460018", "02079460018"], ["442079460018", "79460018"]),
    "national:DE": (PHONE, "+34 600 000 007", [], ["600000007", "0600000007"]),
    "sha256": (
        EMAIL,
        "zo\u00eb@xn--bcher-kva.example",
        [sha256("zo\u00eb@b\u00fccher.example"), sha256("zo\u00eb@xn--bcher-kva.example")],
        [sha256("zoe@bucher.example"), "zo\u00eb@b\u00fccher.example"],
    ),
    "md5": (EMAIL, "MyEmailAddress@example.com", ["0bc83cb571cd1c50ba6f3e8a78ef1346"], ["0" * 32]),
}


def test_a_column_of_a_form_is_searched_for_what_it_holds(
    tables_target: PostgresTarget | DuckDBTarget,
) -> None:
    kept = {}
    for form, (kind, asks, hers, others) in FORMS.items():
        columns = {"customer_id": "customer_no", "email": "email", "phone": "phone"}
        table = {
            "identities": {**columns, kind.value: {"column": kind.value, "form": form}},
            "erase": "delete",
        }
        sink = make_sink(tables_target.environment["OLVIDO_TEST_KIND"], {"customers": {"key": "id", **table}})
        sink.check()
        sink.install()
        rows = [
            a_customer(n, customer_no=None, **{kind.value: text}) for n, text in enumerate([*hers, *others])
        ]
        tables_target.add("customers", *rows)
        [receipt] = sink.apply([a_task(Action.ERASE, (normalise(kind, asks),))])
        sink.close()
        kept[form] = (receipt.outcome, [row[0] for row in tables_target.rows("customers")])
        tables_target.run("DELETE FROM customers")
    assert kept == {
        form: (
            Outcome.ERASED if hers else Outcome.NOT_FOUND,
            list(range(len(hers), len(hers) + len(others))),
        )
        for form, (_, _, hers, others) in FORMS.items()
    }
