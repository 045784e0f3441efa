"""A process that has imported what commands import, and forks one for each command that a test runs.

A test wants a process of its own: streams, exit code, signals. It does not want to wait each time while
Python loads the same libraries. This program loads them once, opens nothing, starts no thread, and then
waits at a Unix socket. Nothing of ``olvido.operators`` is loaded here: that room looks at its environment
and its terminal when it is imported, and each command must find its own.
"""

import array
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from importlib import import_module

LOADED = (
    "confluent_kafka.admin", "fastavro", "httpcore2", "httpx2", "psutil", "psycopg2.extras",
    "pydantic_settings", "rich._emoji_codes", "rich.console", "rich.live", "rich.progress", "rich.status",
    "rich.table", "ruamel.yaml", "structlog", "supervisor.xmlrpc", "tarfile", "typer", "typer._adapters",
    "uuid_utils.compat",
    "olvido.broker.kafka", "olvido.broker.runtime.health", "olvido.broker.topics", "olvido.core.acts",
    "olvido.core.replay", "olvido.ledger.acts", "olvido.ledger.replays", "olvido.ledger.schema",
    "olvido.ledger.store", "olvido.processors.observer", "olvido.processors.handlers.batches",
    "olvido.processors.handlers.receipts", "olvido.processors.handlers.verifications",
    "olvido.processors.reconciler", "olvido.producers.client", "olvido.schemas.codec",
    "olvido.schemas.registry", "olvido.schemas.settings.deployment", "olvido.sinks.http",
    "olvido.sinks.kinds.postgres",
)  # fmt: skip
REQUEST_MAX = 1 << 20  # bytes: arguments and environment of one command
STREAMS = 3


def serve(listener: socket.socket) -> None:
    """Take commands until the process that started this one has ended, which closes our standard input."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks below
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            attend(connection)
            return
        connection.close()


def attend(connection: socket.socket) -> None:
    """Fork the command, say its process id, and then how it ended."""
    request, descriptors = received(connection)
    child = os.fork()
    if child == 0:
        connection.close()
        become(request, descriptors)
        return
    for descriptor in descriptors:
        os.close(descriptor)
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def received(connection: socket.socket) -> tuple[dict, list[int]]:
    """One command: its arguments, environment and folder, and the three streams it shall have."""
    descriptors = array.array("i")
    text = b""
    while not text.endswith(b"\n"):
        part, ancillary, _, _ = connection.recvmsg(
            REQUEST_MAX, socket.CMSG_LEN(STREAMS * descriptors.itemsize)
        )
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        text += part
    return json.loads(text), list(descriptors)


def become(request: dict, descriptors: list[int]) -> None:
    """Be the command: this process has its streams, environment and folder, and ends as it ends."""
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = ["olvido", *request["arguments"]]
    for name, place in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        mode = "r" if place == 0 else "w"
        errors = "backslashreplace" if place == 2 else "strict"
        setattr(sys, name, open(place, mode, encoding="utf-8", errors=errors, closefd=False))  # noqa: SIM115
        setattr(sys, f"__{name}__", getattr(sys, name))
    runpy.run_module("olvido.operators.cli", run_name="__main__", alter_sys=True)
    raise SystemExit


def main() -> None:
    """Load, then serve at the listening socket of the file descriptor that is given."""
    for name in LOADED:
        import_module(name)
    # A fork that ends would look through all of it for garbage: it costs eight times what `--help` does.
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
