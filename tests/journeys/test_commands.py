"""The `olvido` command as a person or a script uses it, beside the real processes."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from shell import olvido, told

pytestmark = [
    pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.xdist_group("journeys: look"),
]  # fmt: skip


def test_a_request_from_the_shell_is_followed_to_its_end(chain):
    [email] = chain.people("shell", 1)
    accepted = told("request", "erase", "--email", email, "--region", "cn", "--region", "sg")
    request_id = accepted["request_id"]

    def final() -> bool:
        shown = olvido("requests", "show", request_id, "-o", "json")
        return shown.returncode == 0 and json.loads(shown.stdout)["state"] == "fulfilled"

    chain.until(final, what="the request", within_s=60)
    shown = told("requests", "show", request_id)
    assert {task["sink"]: task["outcome"] for task in shown["tasks"]} == {
        "crm": "erased",
        "store-sg": "anonymised",
    }
    assert request_id in [row["request_id"] for row in told("requests", "list")]
    assert email not in json.dumps(shown)


def test_identities_can_come_from_standard_input_and_stand_on_no_command_line(chain):
    [email] = chain.people("piped", 1)
    given = json.dumps({"email": email})
    done = told("consent", "withdraw", "--purpose", "marketing", "--identities-from", "-", given=given)
    chain.until(
        lambda: (
            chain.sql("crm", "select marketing_allowed from customers where email = %s", (email,))
            == [(False,)]
        ),
        what="the withdrawal",
        within_s=30,
    )
    assert done["subject_id"].startswith("h1_")


def test_a_table_fits_eighty_columns(chain):
    for arguments in (("requests", "list"), ("status",), ("topics", "list"), ("dead-letters", "list")):
        done = olvido(*arguments)
        assert max(map(len, done.stdout.splitlines()), default=0) <= 80, arguments


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("request", "erase"), 2, "at least one is needed"),
        (("request", "erase", "--email", "secret-canary"), 2, "local@domain"),
        (("request", "erase", "--emial", "a@b.es"), 2, "--email"),
        (("request", "erase", "--email", "a@b.es", "--region", "mx"), 2, "region"),
        (("request", "erase", "--email", "a@b.es", "--request-id", "{x}"), 2, "--request-id: "),
        (("consent", "withdraw", "--email", "a@b.es", "--purpose", "markting"), 2, "purpose"),
        (("requests", "show", "nonsense"), 2, "UUID"),
        (("requests", "show", str(uuid4())), 3, "olvido requests list"),
        (("dead-letters", "show", str(uuid4())), 3, "olvido dead-letters list"),
        (("run", "sink", "crn"), 2, "crm"),
        (("frobnicate",), 2, "No such command"),
        (("topics", "check"), 0, "as declared"),
        (("ledger", "migrate"), 0, "nothing to migrate"),
        (("topics", "apply"), 0, "mended 0"),
    ],
)
def test_each_end_has_its_exit_code_and_says_what_to_do(chain, arguments, code, says):
    done = olvido(*arguments)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert "secret-canary" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("regions = [", "not TOML"),
        (
            'regions = ["cn"]\npurposes = ["m"]\nsinkz = 1',
            "sinkz: there is no such key; did you mean 'sinks'",
        ),
        ('regions = ["cn"]\npurposes = ["m"]', "sinks: is missing; give it"),
        (
            'regions = ["cn"]\npurposes = ["m"]\n[sinks.a]\nkind = "postgres"\nregion = "sg"\n'
            'identities = ["email"]',
            "sinks.a.region: 'sg' is not one of regions",
        ),
    ],
)
def test_a_wrong_configuration_names_file_key_and_fix(chain, tmp_path: Path, text, says):
    """Exit code 2, before anything is started."""
    path = tmp_path / "olvido.toml"
    path.write_text(text)
    done = olvido("run", "processors", OLVIDO_CONFIG=str(path))
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert says in done.stderr


def test_doctor_finds_nothing_wrong_where_nothing_is(chain):
    def well() -> bool:
        return olvido("doctor").returncode == 0

    # A process that another test has restarted may still be joining its group.
    chain.until(well, what="a clean bill of health", within_s=40)


def test_doctor_and_status_say_what_is_wrong_and_what_to_do(chain):
    chain.stack.supervisor.stop("sink-crm")
    try:

        def noticed() -> bool:
            done = olvido("doctor", "-o", "json")
            wrong = [finding for finding in json.loads(done.stdout) if not finding["good"]]
            return done.returncode == 10 and [w["fix"] for w in wrong] == ["olvido run sink crm"]

        chain.until(noticed, what="the doctor's finding", within_s=60)
        status = olvido("status")
        assert status.returncode == 10
        assert "sink-crm is stopped" in status.stderr
        assert "nobody reads for olvido.sink.crm" in status.stderr
    finally:
        chain.stack.supervisor.start("sink-crm")


def test_a_registry_that_is_down_is_named_with_the_fix(chain):
    done = olvido("topics", "check", OLVIDO_REGISTRY__URL="http://127.0.0.1:1/apis/ccompat/v7")
    assert done.returncode == 10
    assert "http://127.0.0.1:1" in done.stderr
    assert "olvido doctor" in done.stderr


def test_the_listing_of_topics_is_the_table_of_topics(chain):
    names = [row["name"] for row in told("topics", "list")]
    assert "olvido.requests.v1" in names
    assert "olvido.tasks.crm.v1" in names
