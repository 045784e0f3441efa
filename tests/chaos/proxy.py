"""Proxies of ours in front of each part: connections can be cut, refused or held, and HTTP answers spoilt."""

import asyncio
import contextlib
import threading
import time
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024


class Line(StrEnum):
    """How a proxied line is."""

    OPEN = "open"
    REFUSED = "refused"  # those there are, are cut; new ones are closed at once
    HELD = "held"  # accepted, and nothing passes


class TcpProxy:
    """Passes connections on to one port."""

    def __init__(self, target_port: int, loop: asyncio.AbstractEventLoop) -> None:
        self._target = target_port
        self._loop = loop
        self._line = Line.OPEN
        self._passes = asyncio.Event()
        self._passes.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.port: int = asyncio.run_coroutine_threadsafe(self._listen(), loop).result(10)

    def be(self, line: Line) -> None:
        """Change how the line is, for every connection. Threads may call it."""
        self._loop.call_soon_threadsafe(self._be, line)

    def cut(self) -> None:
        """Cut every connection there is, with a reset; new ones are taken."""
        self._loop.call_soon_threadsafe(self._cut)

    async def _listen(self) -> int:
        server = await asyncio.start_server(self._serve, HOST, 0)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def _be(self, line: Line) -> None:
        self._line = line
        if line is Line.HELD:
            self._passes.clear()
        else:
            self._passes.set()
        if line is Line.REFUSED:
            self._cut()

    def _cut(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._line is Line.REFUSED:
            writer.transport.abort()
            return
        try:
            target_reader, target_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        self.connections += 1
        self._writers |= {writer, target_writer}
        try:
            await asyncio.gather(self._pass_on(reader, target_writer), self._pass_on(target_reader, writer))
        except asyncio.CancelledError:  # the rig ends; asyncio would complain about it
            return
        finally:
            for each in (writer, target_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK_BYTES):
                await self._passes.wait()
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            # Who was killed with something unread has sent a reset, and so does its kernel to the other side.
            writer.transport.abort()


class Proxies:
    """All proxies, on one event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self.of: dict[str, TcpProxy] = {}

    def add(self, name: str, target_port: int) -> int:
        """Have a proxy in front of a port; the port to be called instead."""
        self.of[name] = TcpProxy(target_port, self._loop)
        return self.of[name].port

    def open_all(self) -> None:
        """Let everything pass."""
        for proxy in self.of.values():
            proxy.be(Line.OPEN)

    def close(self) -> None:
        """Stop: what is still connected is cut."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Answers(StrEnum):
    """How an HTTP target answers."""

    WELL = "well"
    SLOW = "slow"  # after three seconds
    TOO_MANY = "429"
    BEFORE = "500 before the effect"
    AFTER = "500 after the effect"
    HALF = "half an answer, after the effect"


class HttpFaults:
    """An HTTP proxy in front of the marketing service that spoils answers when it is told to."""

    def __init__(self, target_port: int) -> None:
        self.answers = Answers.WELL
        self.spoilt = 0
        faults = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                faults._answer(self, target_port)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: bodies name people."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="http-faults", daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler, target_port: int) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        how = self.answers
        self.spoilt += how is not Answers.WELL
        if how is Answers.SLOW:
            time.sleep(3.0)
        if how is Answers.TOO_MANY:
            _say(handler, 429, b"{}", retry_after="1")
            return
        if how is Answers.BEFORE:
            _say(handler, 500, b"{}")
            return
        target = HTTPConnection(HOST, target_port, timeout=30)
        try:
            target.request("POST", handler.path, body, {"Content-Type": "application/json"})
            answer = target.getresponse()
            status, content = answer.status, answer.read()
        except (OSError, HTTPException):
            handler.close_connection = True  # the service is down: so are we
            return
        finally:
            target.close()
        if how is Answers.AFTER:
            _say(handler, 500, b"{}")
        elif how is Answers.HALF:
            _say(handler, status, content, only=len(content) // 2)
            handler.close_connection = True
        else:
            _say(handler, status, content)


def _say(
    handler: BaseHTTPRequestHandler,
    status: int,
    content: bytes,
    *,
    retry_after: str = "",
    only: int | None = None,
) -> None:
    with contextlib.suppress(OSError):  # who asked may be dead by now
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        if retry_after:
            handler.send_header("Retry-After", retry_after)
        handler.end_headers()
        handler.wfile.write(content[:only])
