"""Who comes back after the erasure is found by looking again, and erased again. The request says so."""

import json
from uuid import UUID

import pytest
from shell import olvido, told

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("journeys: late"),
]  # fmt: skip


class Person:
    """Somebody whose erasure is carried out."""

    def __init__(self, chain, label: str) -> None:
        self.chain = chain
        [self.email] = chain.people(label, 1)
        accepted = told("request", "erase", "--email", self.email, "--region", "cn", "--region", "sg")
        self.request_id = accepted["request_id"]
        self.erased(generations=1)

    def erased(self, *, generations: int) -> None:
        """Wait until the CRM has been asked so often, and has answered."""

        def done() -> bool:
            tasks = self.chain.ledger.figures.tasks(UUID(self.request_id))
            crm = [task["outcome"] for task in tasks if task["sink"] == "crm"]
            return self.state() == "fulfilled" and crm == ["erased"] * generations

        self.chain.until(done, what=f"erasure {generations} of {self.email}", within_s=90)

    def state(self) -> str | None:
        request = self.chain.ledger.figures.request(UUID(self.request_id))
        return request and request["state"]

    def comes_back(self, created_at: str = "2025-01-01") -> None:
        """As an import of an old file would have it."""
        self.chain.sql(
            "crm", "insert into customers (email, created_at) values (%s, %s)", (self.email, created_at)
        )

    def rows(self) -> int:
        return self.chain.sql("crm", "select count(*) from customers where email = %s", (self.email,))[0][0]

    def results(self, output: str) -> list[str]:
        """What `olvido sinks verify -o json` says of the request."""
        found = json.loads(output)["not_verified"]
        return [one["result"] for one in found if one["request_id"] == self.request_id]


def test_who_is_imported_again_is_found_by_hand_and_by_the_sink_itself_and_erased_again(chain):
    person = Person(chain, "imported")
    assert "verified by a later look in 0 of 2 sinks" in olvido("requests", "show", person.request_id).stdout

    person.comes_back()
    done = olvido("sinks", "verify", "crm", "--since", "1h", "-o", "json")
    assert (done.returncode, person.results(done.stdout)) == (10, ["found_again"]), done.stderr
    person.erased(generations=2)
    assert person.rows() == 0

    person.comes_back()
    chain.sql(
        "crm",
        "update olvido.kept_erasures set applied_at = applied_at - interval '2 hours' where tasks like %s",
        (f"%{person.request_id}%",),
    )
    person.erased(generations=3)
    assert person.rows() == 0
    moments = [moment["what"] for moment in told("requests", "show", person.request_id, "--timeline")]
    assert "looked again: found again, and asked for again" in moments

    person.comes_back(created_at="now")  # a new life
    done = olvido("sinks", "verify", "crm", "--since", "1h", "-o", "json")
    assert person.results(done.stdout) == []
    assert person.rows() == 1

    def verified() -> bool:
        shown = olvido("requests", "show", person.request_id).stdout
        return "verified by a later look in 1 of 2 sinks" in shown

    chain.until(verified, what="what the look says in the ledger", within_s=60)
    [newest] = [task for task in told("requests", "show", person.request_id)["tasks"]
                if (task["sink"], task["generation"]) == ("crm", 2)]  # fmt: skip
    assert newest["applied_at"] < newest["verified_at"]
    [crm] = [row for row in told("sinks", "list") if row["sink"] == "crm"]
    assert crm["looked_at"] >= newest["verified_at"]
    assert chain.leaks() == []
