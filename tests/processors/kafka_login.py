"""A listener that speaks just as much Kafka as a login needs."""

import asyncio
import base64
import hashlib
import hmac
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka.conn import create_conn
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from olvido.broker.runtime.movement import Activity
from olvido.processors.engine_faust.app import build_app
from olvido.schemas.settings.deployment import KafkaSection, host_and_port

_API_VERSIONS, _HANDSHAKE, _AUTHENTICATE, _METADATA = 18, 17, 36, 3
_ITERATIONS = 4096
_SALT = b"salt of a test"


TIMEOUT_MS = 5_000


async def as_faust(kafka: KafkaSection) -> None:
    """Connect with the very settings that Faust hands to its driver."""
    app = build_app(kafka, group="tests", handlers={}, activity=Activity())
    auth = credentials_to_aiokafka_auth(app.conf.broker_credentials, app.conf.ssl_context)
    connection = await create_conn(*host_and_port(kafka.servers[0]), request_timeout_ms=TIMEOUT_MS, **auth)
    connection.close()


@dataclass
class Listener:
    """What a broker was sent: on the wire, and by whom who logged in."""

    user: str = ""
    password: str = ""
    wire: bytearray = field(default_factory=bytearray)  # what came in, as an eavesdropper reads it
    mechanisms: list[str] = field(default_factory=list)
    logged_in: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
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
        if login.mechanism == "OAUTHBEARER":  # RFC 7628: whether the token opens is for others to say
            self.tokens.append(body[4:].decode().split("auth=Bearer ")[1].split("\x01")[0])
            return struct.pack(">hhi", 0, -1, 0)
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
