"""olvido.toml and the environment: an error names file, key and the fix, and shows no secret."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.errors import ConfigError
from olvido.core.subject import IdentityKind
from olvido.schemas.settings.deployment import Connections, Deployment, LawSection, Secret
from olvido.schemas.topics import CANARIES, FIXED, REQUESTS

PROJECT = Path(__file__).parents[2]
MINIMAL = """
regions = ["cn", "sg"]
purposes = ["marketing"]
[sinks.crm]
kind = "postgres"
region = "cn"
identities = ["email"]
purposes = ["marketing"]
dsn = { env = "CRM_DSN" }
"""


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("OLVIDO_")]:
        monkeypatch.delenv(name)


def load(folder: Path, text: str) -> Deployment:
    path = folder / "olvido.toml"
    path.write_text(text)
    return Deployment.load(path)


def test_a_deployment_is_read(tmp_path: Path) -> None:
    deployment = load(tmp_path, MINIMAL)
    assert deployment.catalogue == Catalogue(
        regions=frozenset({"cn", "sg"}),
        purposes=frozenset({"marketing"}),
        sinks=(
            SinkEntry(
                name="crm",
                region="cn",
                identities=frozenset({IdentityKind.EMAIL}),
                purposes=frozenset({"marketing"}),
            ),
        ),
    )
    assert deployment.sinks["crm"].own == {"dsn": {"env": "CRM_DSN"}}


def test_the_environment_is_above_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLVIDO_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    kafka = load(
        tmp_path, MINIMAL + '[kafka]\nbootstrap_servers = "from-file:9092"\nreplication_factor = 3\n'
    ).kafka
    assert (kafka.bootstrap_servers, kafka.replication_factor) == ("127.0.0.1:1", 3)


def test_a_topic_has_as_many_partitions_as_all_or_as_are_given_for_it(tmp_path: Path) -> None:
    kafka = load(
        tmp_path,
        MINIMAL + '[kafka]\npartitions = 3\n[kafka.topic_partitions]\n"olvido.tasks.crm.v1" = 24\n',
    ).kafka
    assert kafka.partitions_of(REQUESTS.name) == 3
    assert kafka.partitions_of("olvido.tasks.crm.v1") == 24
    assert kafka.partitions_of(CANARIES.name) == 24  # beside each partition of work there is one


def test_without_a_word_a_topic_has_six_partitions(tmp_path: Path) -> None:
    kafka = load(tmp_path, MINIMAL).kafka
    assert {kafka.partitions_of(topic.name) for topic in (*FIXED, CANARIES)} == {6}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("partitions = 0", "kafka.partitions: must be greater than or equal to 1"),
        ("partitions = 100000", "kafka.partitions: must be less than or equal to 10000"),
        ("[kafka.topic_partitions]\n'olvido.requests.v1' = 0", "greater than or equal to 1"),
        (
            "[kafka.topic_partitions]\n'olvido.request.v1' = 3",
            "there is no such topic; did you mean 'olvido.requests.v1'?",
        ),
        (
            "[kafka.topic_partitions]\n'olvido.canaries.v1' = 5",
            "olvido.canaries.v1 needs 6, as many as the largest topic has",
        ),
    ],
)
def test_a_number_of_partitions_that_cannot_be_is_refused(tmp_path: Path, setting: str, says: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(tmp_path, f"{MINIMAL}[kafka]\n{setting}\n")
    assert says in str(told.value)


@pytest.mark.parametrize(
    ("change", "key", "fix"),
    [
        (("kind =", "knid ="), "sinks.crm.kind", "is missing; give it"),
        (('region = "cn"', 'region = "ccn"'), "sinks.crm.region", "did you mean 'cn'?"),
        (
            ('purposes = ["marketing"]\ndsn', 'purposes = ["marketting"]\ndsn'),
            "sinks.crm.purposes",
            "'marketing'",
        ),
        (("regions =", "regionns ="), "region", ""),
        (("[sinks.crm]", "[sinks.CRM]"), "sinks", "small letters"),
        (("[sinks.crm]", "[sinks.kafka]"), "sinks", "none of kafka, postgres"),
        (
            ('identities = ["email"]', 'identities = ["passport"]'),
            "sinks.crm.identities",
            "must be 'customer_id', 'email'",
        ),
        (('identities = ["email"]', "identities = []"), "sinks.crm.identities", "at least 1 item"),
    ],
)
def test_a_mistake_is_told_by_file_key_and_fix(
    tmp_path: Path, change: tuple[str, str], key: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as told:
        load(tmp_path, MINIMAL.replace(*change))
    assert "olvido.toml" in str(told.value)
    assert key in str(told.value)
    assert fix in str(told.value)


def test_an_error_does_not_carry_the_values_along(tmp_path: Path) -> None:
    """Whoever prints an error with its context would print what stands in the file."""
    with pytest.raises(ConfigError) as told:
        load(tmp_path, MINIMAL.replace('identities = ["email"]', 'identities = ["canary"]'))
    assert told.value.__context__ is None


def test_a_misspelt_key_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        load(tmp_path, MINIMAL + '[kafka]\nbootstrap_server = "x:9092"\n')
    path = tmp_path / "olvido.toml"
    assert str(told.value) == (
        f"{path}:11: kafka.bootstrap_server: there is no such key; did you mean 'bootstrap_servers'?"
    )


def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"olvido\.toml:2 is not TOML: "):
        load(tmp_path, 'regions = ["cn"]\npurposes = nothing')


def test_two_sinks_of_one_name_are_told_with_the_line_of_the_second(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        load(tmp_path, MINIMAL + "\n[sinks.crm]\n")
    lines = MINIMAL.count("\n") + 2
    assert str(told.value) == (
        f"{tmp_path / 'olvido.toml'}:{lines}: [sinks.crm] stands there twice: each sink has a name of its own"
    )


def test_the_users_file_stands_below_the_deployments(tmp_path: Path) -> None:
    user = tmp_path / "config.toml"
    user.write_text(
        '[cli]\noutput = "yaml"\n[kafka]\nbootstrap_servers = "127.0.0.2:1"\nreplication_factor = 2\n'
    )
    (tmp_path / "olvido.toml").write_text(MINIMAL + '[kafka]\nbootstrap_servers = "127.0.0.1:1"\n')
    told = Deployment.load(tmp_path / "olvido.toml", user=user)
    assert (told.cli.output, told.kafka.bootstrap_servers, told.kafka.replication_factor) == (
        "yaml",
        "127.0.0.1:1",
        2,
    )
    assert Deployment.load(tmp_path / "olvido.toml", user=tmp_path / "none.toml").cli.output == "table"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[cli]\n\n[sinks.x]\nkind = "http"', "config.toml:3: sinks: belongs in olvido.toml"),
        ("[cli]\noutptu = 1", "config.toml:2: cli.outptu: there is no such key; did you mean 'output'?"),
        ("[kafka]\nreplication_factor = 0", "config.toml:2: kafka.replication_factor: "),
        ("kafka = 1", "config.toml:1: kafka: "),
    ],
)
def test_a_mistake_in_the_users_file_is_told_by_its_own_name(tmp_path: Path, text: str, says: str) -> None:
    user = tmp_path / "config.toml"
    user.write_text(text)
    (tmp_path / "olvido.toml").write_text(MINIMAL)
    with pytest.raises(ConfigError) as told:
        Deployment.load(tmp_path / "olvido.toml", user=user)
    assert says in str(told.value)


def test_the_ledgers_address_may_be_in_a_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://ledger\n")
    told = load(tmp_path, MINIMAL + f'[ledger]\ndsn = {{ file = "{tmp_path / "dsn"}" }}\n')
    assert told.ledger_dsn == "postgresql://ledger"


def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not there; run olvido in the folder that holds it"):
        Deployment.load(tmp_path / "olvido.toml")


def test_a_wrong_setting_in_the_environment_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLVIDO_REGISTRY__URL", "geheim")
    with pytest.raises(
        ConfigError, match=r"^the environment: registry\.url \(OLVIDO_REGISTRY__URL\): "
    ) as told:
        Connections.from_env()
    assert "geheim" not in str(told.value)


def test_a_list_in_the_environment_that_is_no_json_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLVIDO_IDENTITY_ORDER", "geheim")
    with pytest.raises(ConfigError, match=r"^the environment: OLVIDO_IDENTITY_ORDER: .* JSON") as told:
        Connections.from_env()
    assert "geheim" not in str(told.value)


def test_connections_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLVIDO_KAFKA__BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("OLVIDO_KAFKA__OPTIONS", '{"security.protocol": "SSL"}')
    monkeypatch.setenv("OLVIDO_IDENTITY_ORDER", '["email", "customer_id"]')
    told = Connections.from_env()
    assert (told.kafka.bootstrap_servers, told.kafka.options, told.identity_order) == (
        "broker:9092",
        {"security.protocol": "SSL"},
        (IdentityKind.EMAIL, IdentityKind.CUSTOMER_ID),
    )


def test_a_secret_is_read_from_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_DSN", "geheim")
    (tmp_path / "dsn").write_text("geheim\n")
    assert Secret(env="CRM_DSN").read(key="sinks.crm.dsn") == "geheim"
    assert Secret(file=tmp_path / "dsn").read(key="sinks.crm.dsn") == "geheim"


@pytest.mark.parametrize(
    ("secret", "fix"),
    [
        (Secret(env="NOT_SET"), "the environment variable NOT_SET is not set"),
        (Secret(file=Path("nowhere")), "cannot read nowhere"),
        (Secret(), 'give { env = "NAME" } or { file = "path" }'),
    ],
)
def test_a_secret_that_is_not_there_is_told_by_its_setting(secret: Secret, fix: str) -> None:
    with pytest.raises(ConfigError) as told:
        secret.read(key="sinks.crm.dsn")
    assert str(told.value).startswith("olvido.toml: sinks.crm.dsn: ")
    assert fix in str(told.value)


def test_the_ledgers_address_is_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^ledger\.dsn is not set: give OLVIDO_LEDGER__DSN"):
        _ = load(tmp_path, MINIMAL).ledger_dsn


def test_our_own_deployment_is_right() -> None:
    assert len(Deployment.load(PROJECT / "olvido.toml").catalogue.sinks) == 5


ABROAD = '[kafka]\nbootstrap_servers = "127.0.0.1:9092,kafka:9092"\n'
ENCRYPTED = '[kafka.options]\n"security.protocol" = "SASL_SSL"\n'
REGISTRY_ABROAD = '[registry]\nurl = "http://registry:8080"\n'


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        (ABROAD, "11: kafka.bootstrap_servers: kafka:9092 is another machine", '"security.protocol"'),
        (
            f'{ABROAD}[kafka.options]\n"security.protocol" = "SASL_PLAINTEXT"\n',
            "11: kafka.bootstrap_servers: kafka:9092 is another machine",
            "insecure = true in its section",
        ),
        (REGISTRY_ABROAD, "11: registry.url: registry is another machine", "give an https:// address"),
    ],
)
def test_what_would_travel_in_clear_is_refused_with_its_line_and_the_fix(
    tmp_path: Path, text: str, place: str, fix: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"olvido.toml:{place}")) as told:
        load(tmp_path, MINIMAL + text)
    assert fix in str(told.value)


@pytest.mark.parametrize(
    "text",
    [
        f"{ABROAD}insecure = true\n",
        f"{ABROAD}{ENCRYPTED}",
        f"{REGISTRY_ABROAD}insecure = true\n",
        REGISTRY_ABROAD.replace("http:", "https:"),
        '[kafka]\nbootstrap_servers = "[::1]:9092, localhost:9092"\n[registry]\nurl = "http://[::1]:8080"\n',
    ],
)
def test_what_is_encrypted_or_allowed_or_stays_on_this_machine_is_right(tmp_path: Path, text: str) -> None:
    load(tmp_path, MINIMAL + text)


def test_an_upstream_service_sends_nothing_in_clear_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLVIDO_KAFKA__BOOTSTRAP_SERVERS", "kafka:9092")
    with pytest.raises(ConfigError, match=r"kafka\.bootstrap_servers: \(OLVIDO_KAFKA__BOOTSTRAP_SERVERS\): "):
        Connections.from_env()
    monkeypatch.setenv("OLVIDO_KAFKA__INSECURE", "true")
    Connections.from_env()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[kafka.options]\n"sasl.password" = "geheim"', 'kafka.options: "sasl.password"'),
        ('[kafka.options]\n"ssl.key.password" = "geheim"', 'kafka.options: "ssl.key.password"'),
        ('[kafka.options]\n"ssl.key.pem" = "geheim"', 'kafka.options: "ssl.key.pem"'),
        (
            '[kafka.options]\n"sasl.oauthbearer.client.secret" = "geheim"',
            'kafka.options: "sasl.oauthbearer.client.secret"',
        ),
        ('[registry]\nusername = "u"\npassword = "geheim"', "registry.password"),
        ('[registry]\ncertificate_file = "c"\nkey_password = "geheim"', "registry.key_password"),
    ],
)
def test_a_secret_that_is_written_down_is_refused_with_where_to_put_it(
    tmp_path: Path, text: str, key: str
) -> None:
    """On the loopback as well: the same file is copied to where it matters, and into a repository."""
    with pytest.raises(ConfigError, match=re.escape(key)) as told:
        load(tmp_path, f"{MINIMAL}{text}\n")
    assert '{ env = "NAME" }' in str(told.value)
    assert "geheim" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[registry]\nurl = "https://u:geheim@registry"', "write registry.username"),
        ('[kafka]\nbootstrap_servers = "u:geheim@127.0.0.1:9092"', "no protocol, user or password"),
        ('[kafka.options]\n"bootstrap.servers" = "kafka:9092"', "write kafka.bootstrap_servers"),
        ('[registry]\nusername = "u"', "username and password belong together"),
        ('[registry]\nkey_file = "k.pem"', "of no use without certificate_file"),
        ('[registry]\nca_file = "ca.pem"', "have no effect on an http:// address"),
    ],
)
def test_a_login_that_is_not_whole_or_in_the_wrong_place_is_refused(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as told:
        load(tmp_path, f"{MINIMAL}{text}\n")
    assert "geheim" not in str(told.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('regimes = ["gdrp"]', "gdpr"),
        ('zone = "Europe/Madird"', "Europe/Madird"),
        ('calendar = "SP"', "ES"),
        ("answer_within_days = 0", "answer_within_days"),
        ('country = "ES"', "country"),
    ],
)
def test_a_law_zone_or_calendar_that_there_is_not_is_named_with_its_line(
    line: str, says: str, tmp_path: Path
):
    with pytest.raises(ConfigError, match=says) as refused:
        load(tmp_path, f"{MINIMAL}[law]\n{line}\n")
    assert f"olvido.toml:{MINIMAL.count(chr(10)) + 2}" in str(refused.value)


def test_each_jurisdiction_has_laws_days_and_calendar_of_its_own_and_the_same_promise():
    section = LawSection(
        regimes=("gdpr", "mx"), answer_within_days=9,
        jurisdictions={"MX": {"regimes": ("mx",), "zone": "America/Mexico_City", "calendar": "MX"}},
    )  # fmt: skip
    mexico = section.declared["MX"]
    assert [one.code for one in mexico.regimes] == ["mx"]
    assert (str(mexico.zone), mexico.promised_days) == ("America/Mexico_City", 9)
    with pytest.raises(ValueError, match="ISO 3166"):
        LawSection(jurisdictions={"Mexico": {}})


def test_a_law_brings_the_one_it_builds_on_and_is_counted_in_its_zone():
    place = LawSection(regimes=("es",), zone="Europe/Madrid", calendar="ES").jurisdiction
    assert [one.code for one in place.regimes] == ["gdpr", "es"]
    assert place.day_of(datetime(2026, 6, 30, 22, 30, tzinfo=UTC)) == date(2026, 7, 1)
    assert place is LawSection(regimes=("es",), zone="Europe/Madrid", calendar="ES").jurisdiction
