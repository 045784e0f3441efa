"""The one place that makes a TLS context: whom a client trusts, and what it shows of itself.

The processors on Faust and the questions to the registry use it as it is. librdkafka makes its own of the
same files, which are tried here first, so that a fault is one with the setting's name.
"""

import ssl
from datetime import datetime
from pathlib import Path

from olvido.core.errors import ConfigError, OlvidoError

NAMES_ANOTHER = "its certificate is for another host name than the address that is given"
NOT_TRUSTED = "its certificate is out of date, or of an authority that is not trusted"
_OF_NAMES = frozenset({62, 64})  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH


class TlsFault(OlvidoError):
    """Files that make no context."""

    def __init__(self, part: str, why: str) -> None:
        """
        Args:
            part: the argument of :func:`client_context` that cannot be used.
            why: and the reason, without what stands in the file.
        """
        super().__init__(f"{part} {why}")
        self.part = part
        self.why = why


def client_context(
    *,
    ca_file: Path | None = None,
    ca_text: str | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    key_password: str = "",
    checks_name: bool = True,
) -> ssl.SSLContext:
    """TLS 1.2 or newer, with a server whose certificate and, unless switched off, name are verified.

    Args:
        ca_file: the authorities that are trusted, and no other; a file or a folder of them.
        ca_text: the same as PEM text. The system's authorities, where neither is given.
        certificate: what we show; its chain in the same file.
        key: its key, where the certificate's file does not hold it.
        key_password: what opens the key.
        checks_name: whether the server's certificate must name the host that we asked for.

    Raises:
        TlsFault: a file cannot be used.
    """
    context = _trusting(ca_file, ca_text)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = checks_name
    if certificate is not None:
        try:
            # Without a password OpenSSL would ask for one at the terminal, and a process would wait for ever.
            context.load_cert_chain(certificate, key, password=lambda: key_password)
        except (OSError, ValueError) as error:
            raise TlsFault("certificate", f"cannot be used with its key ({_reason(error)})") from None
    return context


def distrust_of(error: BaseException) -> str | None:
    """Why a server's certificate was not accepted, in words; None if an error is about something else."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return NAMES_ANOTHER if seen.verify_code in _OF_NAMES else NOT_TRUSTED
        seen = seen.__cause__ or seen.__context__
    return None


def ends_of(file: Path) -> list[datetime]:
    """When each certificate of a PEM file is out of date.

    Raises:
        ConfigError: it holds none.
    """
    from cryptography import x509  # takes 30 ms, and nearly nobody asks

    try:
        return [one.not_valid_after_utc for one in x509.load_pem_x509_certificates(file.read_bytes())]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} is no PEM file of certificates ({_reason(error)})") from None


def _trusting(ca_file: Path | None, ca_text: str | None) -> ssl.SSLContext:
    try:
        if ca_file is not None and ca_file.is_dir():
            return ssl.create_default_context(capath=ca_file)
        return ssl.create_default_context(cafile=ca_file, cadata=ca_text)
    except (OSError, ValueError) as error:
        part = "ca_text" if ca_file is None else "ca_file"
        raise TlsFault(part, f"is no PEM file of certificates ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    """An error without its text, which may quote a file."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
