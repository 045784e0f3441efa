"""A row is found in whichever form its system writes the person, and whichever form upstream sent."""

import pytest
from sinks.shop import a_customer, a_task
from sinks.targets import Target

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


@pytest.mark.parametrize("case", WRITTEN)
def test_all_rows_of_a_person_are_found_by_each_form(target: Target, case: str) -> None:
    kind, written = WRITTEN[case]
    rows = [
        a_customer(n, customer_no=None, **{kind.value: value}) for n, value in enumerate(written, start=1)
    ]
    someone_else = len(rows)
    sink = target.sink()
    for form in written[:-1]:
        target.add("customers", *rows)
        rows = rows[:-1]  # somebody else's stays from now on
        [receipt] = sink.apply([a_task(Action.ERASE, (normalise(kind, form),))])
        assert receipt.outcome is Outcome.ERASED
        assert [row[0] for row in target.rows("customers")] == [someone_else]
    sink.close()
