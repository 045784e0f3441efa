"""The secret that turns identities into handles, and its file."""

import base64
import hmac
import secrets
from pathlib import Path

from olvido.core.errors import ConfigError
from olvido.core.subject import Handle, Identity
from olvido.schemas.private_files import read_key, write_new


class HandleKey:
    """The secret that turns identities into handles. Without it nobody can guess them."""

    def __init__(self, version: int, secret: bytes) -> None:
        self._prefix = f"h{version}_"
        self._secret = secret

    @classmethod
    def load(cls, path: Path) -> "HandleKey":
        """Read the key file: one line, ``h<version> <base64url of 32 bytes>``.

        Raises:
            ConfigError: the file is missing, cannot be read or is not of that form.
        """
        content = read_key(path, setting="keys.handle_file")
        try:
            version, encoded = content.decode("ascii").split()
            secret = base64.urlsafe_b64decode(encoded)
            number = int(version.removeprefix("h"))
        except ValueError:  # its text holds the secret; and another key would make other handles
            raise ConfigError(
                f"keys.handle_file: {path} is not a handle key; restore it from its backup"
            ) from None
        if len(secret) != 32:
            raise ConfigError(f"keys.handle_file: {path} does not hold 32 bytes; restore it from its backup")
        return cls(number, secret)

    def handle(self, identity: Identity) -> Handle:
        """The handle of an identity: HMAC-SHA-256 over kind and normalised value."""
        message = f"{identity.kind.value}\0{identity.normalised}".encode()
        digest = hmac.digest(self._secret, message, "sha256")
        text = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return Handle(kind=identity.kind, value=self._prefix + text)


def create_handle_key(path: Path, *, version: int = 1) -> None:
    """Make the deployment's handle key. One that is there already is kept: it cannot be made again."""
    encoded = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    write_new(path, f"h{version} {encoded}\n".encode())
