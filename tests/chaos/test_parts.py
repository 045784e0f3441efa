"""What the rig is made of, without a stack: points, proxies, the journal, people."""

import signal
import socket
import struct
import subprocess
import sys
import threading
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import pytest

from chaos.journal import Journal, Told
from chaos.people import NEW_LIFE, Part, people
from chaos.points import order_path
from chaos.proxy import Answers, HttpFaults, Line, Proxies
from chaos.stage import TESTS

DIES = """
import pathlib, sys
from chaos.points import Obedient
passing = Obedient(pathlib.Path(sys.argv[1]), "sink-crm").passing
for at in range(1, 6):
    passing("read")
    passing("committed")
    print(at, flush=True)
"""


def test_a_process_dies_at_the_passing_that_was_ordered_and_only_once(tmp_path):
    order_path(tmp_path, "sink-crm").write_text("1 committed 3")

    def run():
        return subprocess.run(
            [sys.executable, "-c", DIES, str(tmp_path)],
            capture_output=True,
            text=True,
            cwd=TESTS,
            check=False,
        )

    killed, alive = run(), run()
    assert (killed.returncode, killed.stdout.split()) == (-signal.SIGKILL, ["1", "2"])
    assert (alive.returncode, alive.stdout.split()) == (0, ["1", "2", "3", "4", "5"])
    assert [path.name for path in tmp_path.iterdir()] == ["sink-crm.done"]


@pytest.fixture
def proxies():
    proxies = Proxies()
    yield proxies
    proxies.close()


@pytest.fixture
def echo():
    """A server that gives back what it gets."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_echo, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1]
    listening.close()


def _echo(connection):
    with connection:
        while data := connection.recv(100):
            connection.sendall(data)


def test_a_line_passes_on_is_held_cut_and_mended(proxies, echo):
    port = proxies.add("echo", echo)
    line = socket.create_connection(("127.0.0.1", port), timeout=5)
    line.sendall(b"one")
    assert line.recv(10) == b"one"
    proxies.of["echo"].be(Line.HELD)
    line.settimeout(0.5)
    line.sendall(b"two")
    with pytest.raises(TimeoutError):
        line.recv(10)
    proxies.of["echo"].be(Line.OPEN)
    line.settimeout(5)
    assert line.recv(10) == b"two"
    proxies.of["echo"].be(Line.REFUSED)
    with pytest.raises(ConnectionError):
        line.recv(10) or _reset()
    proxies.open_all()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as again:
        again.sendall(b"three")
        assert again.recv(10) == b"three"


def test_who_is_reset_on_one_side_is_gone_on_the_other(proxies):
    """A killed process with unread answers sends a reset: its session must not stay open behind the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = proxies.add("server", listening.getsockname()[1])
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        server, _ = listening.accept()
        server.settimeout(5)
        client.sendall(b"begin")
        assert server.recv(10) == b"begin"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with pytest.raises(ConnectionError):
            server.recv(10) or _reset()


def _reset():
    raise ConnectionResetError


class Target(BaseHTTPRequestHandler):
    """Counts its effects."""

    effects = 0

    def do_POST(self):
        type(self).effects += 1
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, format, *args):
        pass


@pytest.mark.parametrize(
    ("how", "status", "effects"),
    [
        (Answers.WELL, 200, 1),
        (Answers.TOO_MANY, 429, 0),
        (Answers.BEFORE, 500, 0),
        (Answers.AFTER, 500, 1),
        (Answers.HALF, None, 1),
    ],
)
def test_an_answer_is_spoilt_before_or_after_the_effect(how, status, effects):
    Target.effects = 0
    target = HTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    faults = HttpFaults(target.server_address[1])
    faults.answers = how
    connection = HTTPConnection("127.0.0.1", faults.port, timeout=5)
    try:
        connection.request("POST", "/", b"{}")
        answer = connection.getresponse()
        if status is None:
            with pytest.raises(HTTPException):
                answer.read()
        else:
            assert answer.status == status
        assert Target.effects == effects
    finally:
        connection.close()
        faults.close()
        target.shutdown()
        target.server_close()


def test_the_journal_is_read_from_its_file(tmp_path):
    told = Told(id="1", person=1, what="erase", at="2026-01-01T00:00:00+00:00", subject_id="h1_x")
    journal = Journal(tmp_path / "accepted.jsonl")
    journal.write([told])
    assert list(Journal(journal.path).read()) == [told]
    journal.close()


def test_people_are_different_enough_to_be_told_apart():
    crowd = people(range(1, 201))
    assert {person.part for person in crowd} == set(Part)
    assert all(a.tickets != b.tickets for a, b in pairwise(crowd))
    back = [person for person in crowd if person.new_life]
    assert back
    for person in back:
        assert {number for number, _, _ in person.customers()} == {person.number, person.number + NEW_LIFE}
        assert all(row < NEW_LIFE for _, row in person.doomed("crm"))
