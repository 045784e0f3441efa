"""A listener that speaks just as much Kafka as a login needs, and certificates made for one run."""

import asyncio
import base64
import hashlib
import hmac
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_API_VERSIONS, _HANDSHAKE, _AUTHENTICATE, _METADATA = 18, 17, 36, 3
_ITERATIONS = 4096
_SALT = b"salt of a test"


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    """An authority that signs certificates; it lives as long as a test."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(self._name, self._key.public_key(), x509.BasicConstraints(True, None))
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, common_name: str, *, address: str = "127.0.0.1", password: str = "") -> tuple[Path, Path]:
        """A certificate and its key; the key is encrypted if there is a password."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        certificate = self._sign(_name(common_name), key.public_key(), names)
        files = (self._folder / f"{common_name}.pem", self._folder / f"{common_name}.key")
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password.encode())
                if password
                else serialization.NoEncryption(),
            )
        )
        return files

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )


@dataclass
class Listener:
    """What a broker was sent: on the wire, and by whom who logged in."""

    user: str = ""
    password: str = ""
    wire: bytearray = field(default_factory=bytearray)  # what came in, as an eavesdropper reads it
    mechanisms: list[str] = field(default_factory=list)
    logged_in: list[str] = field(default_factory=list)
    certificates: list[str] = field(default_factory=list)  # whose certificate was shown
    port: int = 0

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Listener"]:
        """Listen on a port, with or without TLS; an eavesdropper sits before it."""
        broker = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        inner = broker.sockets[0].getsockname()[1]

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            back, out = await asyncio.open_connection("127.0.0.1", inner)
            await asyncio.gather(self._copy(reader, out, self.wire), self._copy(back, writer, bytearray()))

        eavesdropper = await asyncio.start_server(relay, "127.0.0.1", 0)
        self.port = eavesdropper.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            eavesdropper.close()
            broker.close()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray
    ) -> None:
        try:
            while data := await reader.read(65536):
                kept += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown = writer.get_extra_info("peercert")
        if shown:
            self.certificates.append(dict(pair for [pair] in shown["subject"])["commonName"])
        login = self._login()
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                request = await reader.readexactly(size)
                key, _, correlation_id = struct.unpack(">hhi", request[:8])
                body = request[10 + struct.unpack(">h", request[8:10])[0] :]
                answer = self._answer(key, body, login)
                writer.write(struct.pack(">ii", 4 + len(answer), correlation_id) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, key: int, body: bytes, login: "_Login") -> bytes:
        if key == _API_VERSIONS:
            ranges = ((_API_VERSIONS, 0), (_HANDSHAKE, 1), (_AUTHENTICATE, 0), (_METADATA, 1))
            return struct.pack(">hi", 0, len(ranges)) + b"".join(
                struct.pack(">hhh", api, 0, newest) for api, newest in ranges
            )
        if key == _HANDSHAKE:
            login.mechanism = body[2:].decode()
            self.mechanisms.append(login.mechanism)
            return struct.pack(">hi", 0, 1) + struct.pack(">h", len(body) - 2) + body[2:]
        assert key == _AUTHENTICATE
        token = login.step(body[4:])
        if login.done:
            self.logged_in.append(self.user)
        if token is None:
            return struct.pack(">hhi", 58, -1, 0)  # SASL_AUTHENTICATION_FAILED
        return struct.pack(">hhi", 0, -1, len(token)) + token

    def _login(self) -> "_Login":
        return _Login(self.user, self.password)


@dataclass
class _Login:
    """The broker's side of one login (RFC 4616, RFC 5802)."""

    user: str
    password: str
    mechanism: str = ""
    done: bool = False
    _said: list[str] = field(default_factory=list)

    def step(self, token: bytes) -> bytes | None:
        """The answer to what the client sends; None if it is refused."""
        if self.mechanism == "PLAIN":
            self.done = token.split(b"\0")[1:] == [self.user.encode(), self.password.encode()]
            return b"" if self.done else None
        if not self._said:
            bare = token.decode().removeprefix("n,,")
            nonce = dict(part.split("=", 1) for part in bare.split(","))["r"] + "more"
            first = f"r={nonce},s={base64.b64encode(_SALT).decode()},i={_ITERATIONS}"
            self._said = [bare, first]
            return first.encode()
        without_proof, _, proof = token.decode().rpartition(",p=")
        name = self.mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        salted = hashlib.pbkdf2_hmac(name, self.password.encode(), _SALT, _ITERATIONS)
        message = ",".join([*self._said, without_proof]).encode()
        client_key = hmac.digest(salted, b"Client Key", name)
        signature = hmac.digest(hashlib.new(name, client_key).digest(), message, name)
        self.done = base64.b64decode(proof) == bytes(
            a ^ b for a, b in zip(client_key, signature, strict=True)
        )
        verifier = hmac.digest(hmac.digest(salted, b"Server Key", name), message, name)
        return b"v=" + base64.b64encode(verifier) if self.done else None
