"""How Faust's driver logs in to Kafka: librdkafka's options, as an ``ssl.SSLContext`` and a user.

The options of olvido.toml are librdkafka's, and the driver of Faust is another library. An option
about the login that is not translated here would be a login that is weaker than the one asked for.
So each of them is either understood or refused by its name; none is dropped.
"""

import re
import ssl
from collections.abc import Mapping, Set
from pathlib import Path

import faust

from olvido.core.errors import ConfigError
from olvido.schemas.settings.deployment import KafkaSection

TLS = frozenset({"SSL", "SASL_SSL"})
SASL = frozenset({"SASL_PLAINTEXT", "SASL_SSL"})
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

_PROTOCOL = "security.protocol"
_CA_FILE, _CA_TEXT = "ssl.ca.location", "ssl.ca.pem"
_CERTIFICATE, _KEY, _KEY_PASSWORD = "ssl.certificate.location", "ssl.key.location", "ssl.key.password"
_VERIFY, _HOST_NAME = "enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm"
_MECHANISM, _MECHANISM_ALIAS = "sasl.mechanisms", "sasl.mechanism"
_USER, _PASSWORD = "sasl.username", "sasl.password"
_OF_TLS = frozenset({_CA_FILE, _CA_TEXT, _CERTIFICATE, _KEY, _KEY_PASSWORD, _VERIFY, _HOST_NAME})
_OF_SASL = frozenset({_MECHANISM, _MECHANISM_ALIAS, _USER, _PASSWORD})

# Whatever librdkafka has about a login or about who is at the other end, now or in a later version.
_ABOUT_LOGIN = re.compile(
    r"(^|[._])(security|ssl|sasl|https|tls|oauthbearer)([._]|$)|^(bootstrap\.servers|metadata\.broker\.list)$"
)


def credentials_of(kafka: KafkaSection) -> faust.SSLCredentials | faust.SASLCredentials | None:
    """What Faust's driver logs in with; None where the options ask for neither TLS nor a user.

    Raises:
        ConfigError: an option about the login that is not understood here, contradicts another, or
            names a file that cannot be used.
    """
    options = kafka.options
    protocol = options.get(_PROTOCOL, "PLAINTEXT").upper()
    if protocol not in PROTOCOLS:
        raise _refusal(_PROTOCOL, f"is none of {', '.join(PROTOCOLS)}")
    usable: Set[str] = (_OF_TLS if protocol in TLS else frozenset()) | (
        _OF_SASL if protocol in SASL else frozenset()
    )
    for name in sorted(options):
        if name in (_OF_TLS | _OF_SASL) - usable:
            raise _refusal(name, f"has no effect with {_PROTOCOL} {protocol}; change one of the two")
        if name not in {_PROTOCOL, *usable} and _ABOUT_LOGIN.search(name):
            raise _refusal(name, "is not understood by the processors on Faust; use --engine loop")
    context = _context(options) if protocol in TLS else None
    if protocol in SASL:
        return faust.SASLCredentials(
            mechanism=_mechanism(options),
            username=_needed(options, _USER),
            password=_needed(options, _PASSWORD),
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)


def _context(options: Mapping[str, str]) -> ssl.SSLContext:
    """TLS 1.2 or newer, with a broker whose certificate and, unless switched off, name are verified."""
    if options.get(_VERIFY, "true").lower() != "true":
        raise _refusal(_VERIFY, "must be true: the processors log in to no broker that they do not know")
    context = _trusting(options)
    check_name = options.get(_HOST_NAME, "https").lower()
    if check_name not in {"https", "none"}:
        raise _refusal(_HOST_NAME, "is neither https nor none")
    context.check_hostname = check_name == "https"
    if _CERTIFICATE in options:
        try:
            # Without a password OpenSSL would ask for one at the terminal, and a process would wait for ever.
            context.load_cert_chain(
                options[_CERTIFICATE], options.get(_KEY), password=lambda: options.get(_KEY_PASSWORD, "")
            )
        except (OSError, ValueError) as error:
            raise _refusal(
                _CERTIFICATE, f"and {_KEY} cannot be used as a certificate and its key ({_of(error)})"
            ) from None
    elif stray := {_KEY, _KEY_PASSWORD} & options.keys():
        raise _refusal(min(stray), f"is of no use without {_CERTIFICATE}")
    return context


def _trusting(options: Mapping[str, str]) -> ssl.SSLContext:
    """A context that trusts the given authority alone; the system's, where none is given."""
    if _CA_FILE in options and _CA_TEXT in options:
        raise _refusal(_CA_TEXT, f"and {_CA_FILE} are both given; remove one")
    place = options.get(_CA_FILE)
    try:
        if place is not None and Path(place).is_dir():
            context = ssl.create_default_context(capath=place)
        else:
            context = ssl.create_default_context(cafile=place, cadata=options.get(_CA_TEXT))
    except (OSError, ValueError) as error:
        name = _CA_FILE if place is not None else _CA_TEXT
        raise _refusal(name, f"is no PEM file of certificates ({_of(error)})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _mechanism(options: Mapping[str, str]) -> str:
    given = {options[name].upper() for name in (_MECHANISM, _MECHANISM_ALIAS) if name in options}
    if len(given) > 1:
        raise _refusal(_MECHANISM, f"and its other name {_MECHANISM_ALIAS} differ; remove one")
    # Where none is given, librdkafka means GSSAPI.
    mechanism = given.pop() if given else "GSSAPI"
    if mechanism not in MECHANISMS:
        raise _refusal(_MECHANISM, f"is none of {', '.join(MECHANISMS)}")
    return mechanism


def _needed(options: Mapping[str, str], name: str) -> str:
    if not options.get(name):
        raise _refusal(name, "is missing")
    return options[name]


def _of(error: Exception) -> str:
    """An error without its text, which may quote a file."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _refusal(name: str, why: str) -> ConfigError:
    return ConfigError(f"kafka.options.{name} {why}")
