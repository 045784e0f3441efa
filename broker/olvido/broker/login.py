"""How every client logs in to Kafka: one reading of the settings, for librdkafka and for Faust's driver.

The options of olvido.toml are librdkafka's. What two clients would each read for itself, one of them would
read differently, and log in with less than was asked for. So both get what stands here. An option that has
no effect, contradicts another or names a file that cannot be used is refused by its name; none is dropped.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from olvido.core.errors import ConfigError
from olvido.core.loopback import is_loopback
from olvido.schemas.settings.deployment import ENCRYPTED, PROTOCOL, KafkaSection, not_encrypted
from olvido.schemas.tls import TlsFault, client_context

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
OAUTHBEARER = "OAUTHBEARER"
MECHANISMS = (*PASSWORD_MECHANISMS, OAUTHBEARER)

USER, PASSWORD = "sasl.username", "sasl.password"
MECHANISM, _MECHANISM_ALIAS = "sasl.mechanisms", "sasl.mechanism"
METHOD, TOKEN_URL = "sasl.oauthbearer.method", "sasl.oauthbearer.token.endpoint.url"
CLIENT_ID, CLIENT_SECRET = "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret"
SCOPE, TOKEN_CA = "sasl.oauthbearer.scope", "https.ca.location"
_CA_FILE, _CA_TEXT = "ssl.ca.location", "ssl.ca.pem"
_CERTIFICATE, _KEY, _KEY_PASSWORD = "ssl.certificate.location", "ssl.key.location", "ssl.key.password"
_VERIFY, _HOST_NAME = "enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm"

_OF_TLS = frozenset({_CA_FILE, _CA_TEXT, _CERTIFICATE, _KEY, _KEY_PASSWORD, _VERIFY, _HOST_NAME})
_OF_PASSWORDS = frozenset({USER, PASSWORD})
_OF_TOKENS = frozenset({METHOD, TOKEN_URL, CLIENT_ID, CLIENT_SECRET, SCOPE, TOKEN_CA})
_OF_SASL = frozenset({MECHANISM, _MECHANISM_ALIAS}) | _OF_PASSWORDS | _OF_TOKENS
_NAMES = {"ca_file": _CA_FILE, "ca_text": _CA_TEXT, "certificate": _CERTIFICATE}

# Whatever librdkafka has about a login or about who is at the other end, now or in a later version.
_ABOUT_LOGIN = re.compile(r"(^|[._])(security|ssl|sasl|https|tls|oauthbearer)([._]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a client logs in."""

    options: Mapping[str, str] = field(repr=False)  # all that were given, with their secrets, for librdkafka
    mechanism: str | None  # of SASL; None without it
    context: ssl.SSLContext | None  # None without TLS
    only_librdkafka: tuple[str, ...]  # what is about the login and not understood here, by name

    @property
    def certificates_shown(self) -> tuple[Path, ...]:
        """The file of our own certificate."""
        return (Path(self.options[_CERTIFICATE]),) if _CERTIFICATE in self.options else ()

    @property
    def certificates_trusted(self) -> tuple[Path, ...]:
        """The files of authorities."""
        return tuple(Path(self.options[name]) for name in (_CA_FILE, TOKEN_CA) if name in self.options)


def login_of(kafka: KafkaSection) -> Login:
    """How to log in, as the settings say.

    Raises:
        ConfigError: an option about the login that has no effect, contradicts another, or names what
            cannot be used; a secret that is not where it is said to be; or a broker on another machine that
            would be spoken to in clear.
    """
    if server := kafka.readable_abroad:
        raise ConfigError(f"kafka.bootstrap_servers: {not_encrypted(server)}")
    options = {
        name: value if isinstance(value, str) else value.read(key=f"kafka.options.{name}")
        for name, value in kafka.options.items()
    }
    protocol = options.get(PROTOCOL, "PLAINTEXT").upper()
    if protocol not in PROTOCOLS:
        raise refusal(PROTOCOL, f"is none of {', '.join(PROTOCOLS)}")
    encrypted, with_user = protocol in ENCRYPTED, protocol.startswith("SASL_")
    for names, effective in ((_OF_TLS, encrypted), (_OF_SASL, with_user)):
        if not effective and (idle := sorted(names & options.keys())):
            raise refusal(idle[0], f"has no effect with {PROTOCOL} {protocol}; change one of the two")
    understood = _OF_TLS | _OF_SASL | {PROTOCOL}
    strange = sorted(name for name in options if name not in understood and _ABOUT_LOGIN.search(name))
    mechanism = _mechanism(options) if with_user else None
    if mechanism is not None and mechanism not in MECHANISMS:
        strange.append(MECHANISM)
    elif mechanism is not None:
        _check_user(options, mechanism, kafka)
    return Login(
        options=options,
        mechanism=mechanism,
        context=_context(options, kafka) if encrypted else None,
        only_librdkafka=tuple(strange),
    )


def refusal(name: str, why: str) -> ConfigError:
    """The error about one option; it shows no value."""
    return ConfigError(f"kafka.options.{name} {why}")


def _context(options: Mapping[str, str], kafka: KafkaSection) -> ssl.SSLContext:
    if options.get(_VERIFY, "true").lower() != "true":
        raise refusal(_VERIFY, "must be true: nobody logs in to a broker that may be anybody")
    check_name = options.get(_HOST_NAME, "https").lower()
    if check_name not in {"https", "none"}:
        raise refusal(_HOST_NAME, "is neither https nor none")
    if check_name == "none" and (server := kafka.server_abroad):
        raise refusal(
            _HOST_NAME,
            f"must be https: whoever has any certificate of that authority could be {server}; "
            "only where nobody else is in that network, write insecure = true in [kafka]",
        )
    if _CA_FILE in options and _CA_TEXT in options:
        raise refusal(_CA_TEXT, f"and {_CA_FILE} are both given; remove one")
    # Its key and certificate may stand in options that only librdkafka understands.
    if _CERTIFICATE not in options and (stray := {_KEY, _KEY_PASSWORD} & options.keys()) and not any(
        name.startswith(("ssl.certificate.", "ssl.key.", "ssl.keystore.")) for name in options.keys() - stray
    ):  # fmt: skip
        raise refusal(min(stray), f"is of no use without {_CERTIFICATE}")
    try:
        return client_context(
            ca_file=_path(options, _CA_FILE),
            ca_text=options.get(_CA_TEXT),
            certificate=_path(options, _CERTIFICATE),
            key=_path(options, _KEY),
            key_password=options.get(_KEY_PASSWORD, ""),
            checks_name=check_name == "https",
        )
    except TlsFault as fault:
        raise refusal(_NAMES[fault.part], fault.why) from None


def _path(options: Mapping[str, str], name: str) -> Path | None:
    return Path(options[name]) if name in options else None


def _mechanism(options: Mapping[str, str]) -> str:
    given = {options[name].upper() for name in (MECHANISM, _MECHANISM_ALIAS) if name in options}
    if len(given) > 1:
        raise refusal(MECHANISM, f"and its other name {_MECHANISM_ALIAS} differ; remove one")
    # Where none is given, librdkafka means GSSAPI: nobody who gives a password means that.
    return given.pop() if given else "GSSAPI"


def _check_user(options: Mapping[str, str], mechanism: str, kafka: KafkaSection) -> None:
    needed, idle = (
        ((METHOD, TOKEN_URL, CLIENT_ID, CLIENT_SECRET), _OF_PASSWORDS)
        if mechanism == OAUTHBEARER
        else ((USER, PASSWORD), _OF_TOKENS)
    )
    for name in sorted(idle & options.keys()):
        raise refusal(name, f"has no effect with {MECHANISM} {mechanism}; remove it")
    for name in needed:
        if not options.get(name):
            raise refusal(name, "is missing")
    if mechanism != OAUTHBEARER:
        return
    if options[METHOD].lower() != "oidc":
        raise refusal(METHOD, "must be oidc: tokens are fetched with a client's id and secret")
    place = urlsplit(options[TOKEN_URL])
    if place.scheme != "https" and not (kafka.insecure or is_loopback(place.hostname or "")):
        raise refusal(TOKEN_URL, "must be https: the client's secret is sent there")
