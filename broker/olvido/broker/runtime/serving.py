"""The one small server of a process: /metrics for Prometheus, /healthz and /readyz for who restarts it."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

from prometheus_client import MetricsHandler

from olvido.broker.runtime.health import Health
from olvido.broker.runtime.metrics import REGISTRY
from olvido.core.errors import ConfigError
from olvido.schemas.settings.deployment import MetricsSection

logger = logging.getLogger("olvido.broker")

ASK_S_MAX = 5.0  # who asks and then says nothing is let go of


@contextmanager
def serving(section: MetricsSection, health: Health) -> Iterator[None]:
    """Serve for as long as the block lasts. Without a port nothing is served.

    Raises:
        ConfigError: nobody can listen there.
    """
    if section.port is None:
        yield
        return
    try:
        server = _Server((section.host, section.port), health)
    except OSError as error:
        raise ConfigError(
            f"metrics.port: cannot listen on {section.host}:{section.port} ({error.strerror}); "
            "give another one by OLVIDO_METRICS__PORT"
        ) from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    logger.info("metrics and health: http://%s:%d/metrics, /healthz, /readyz", *server.server_address[:2])
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        self.health = health
        super().__init__(address, _Handler)


class _Handler(MetricsHandler):
    registry = REGISTRY
    timeout = ASK_S_MAX
    server_version = "olvido"
    sys_version = ""

    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        health = self.server.health
        match self.path.partition("?")[0]:
            case "/metrics":
                super().do_GET()
            case "/healthz":
                self._answer(health.why_not_alive())
            case "/readyz":
                self._answer(health.why_not_ready())
            case _:
                self._say(404, "there are /metrics, /healthz and /readyz")

    def _answer(self, why_not: str) -> None:
        self._say(503, why_not) if why_not else self._say(200, "ok")

    def _say(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
