"""A real process whose work stands still says so by itself, and says when it goes on."""

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from uuid import uuid4

import pytest
from broker.test_health import a_port, ask
from broker.test_loop import until
from broker.topics import MakeTopic

from olvido.broker.contract import Record
from olvido.broker.kafka import KafkaPublisher
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import KafkaSection

PROGRAM = Path(__file__).with_name("blocked_reader.py")


def status(port: int, path: str) -> int:
    """What a probe gets; 0 where nobody answers."""
    try:
        return ask(port, path)[0]
    except OSError:
        return 0


@pytest.mark.timeout(600)
def test_a_real_process_goes_503_when_its_handler_stands_still_and_comes_back(
    kafka_section: KafkaSection, registry: Registry, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic, port, file = make_topic(6), a_port(), tmp_path / "blocked"
    given = [kafka_section.bootstrap_servers, topic, f"group-{uuid4().hex}", str(port), file]
    process = subprocess.Popen([sys.executable, PROGRAM, *given])
    try:
        until(lambda: status(port, "/healthz") == 200, "it answers")
        file.touch()
        with KafkaPublisher(kafka_section, client_id="test") as publisher:
            publisher.publish([Record(topic, b"key", b"work")])
        until(lambda: status(port, "/healthz") == 503, "it says that it stands still", within_s=200)
        assert "nothing moved for" in ask(port, "/healthz")[1]
        assert status(port, "/readyz") == 503
        assert process.poll() is None
        file.unlink()
        until(lambda: status(port, "/healthz") == 200, "it goes on", within_s=100)
        assert status(port, "/readyz") == 200
        # One that is stopped as a whole cannot even say so: a probe that gets no answer is the answer.
        process.send_signal(signal.SIGSTOP)
        with pytest.raises((urllib.error.URLError, TimeoutError)):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=3)
        process.send_signal(signal.SIGCONT)
        until(lambda: status(port, "/healthz") == 200, "it answers again")
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        assert process.wait(60) == 0
