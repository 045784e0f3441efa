"""An address that gives tokens to who knows a secret, as an identity provider does (RFC 6749 §4.4)."""

import base64
import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer


class TokenServer:
    """Gives tokens to who knows the secret of a client, and counts them."""

    def __init__(self, secrets: Mapping[str, str], life_s: float, token: Callable[[str, int], str]) -> None:
        """
        Args:
            secrets: by client.
            life_s: how long it says that a token lives.
            token: makes one for a client, with its number.
        """
        self.asked: list[tuple[str, str]] = []
        owner = self
        clients = {
            f"Basic {base64.b64encode(f'{client}:{secret}'.encode()).decode()}": client
            for client, secret in secrets.items()
        }

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                owner.asked.append((self.headers["Authorization"], form))
                client = clients.get(self.headers["Authorization"])
                answer = {"expires_in": life_s}
                if client is not None:
                    answer["access_token"] = token(client, len(owner.asked))
                self.send_response(200 if client else 401)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"

    def __enter__(self) -> "TokenServer":
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


def unsecured_token(client: str, _number: int, *, life_s: int = 3600) -> str:
    """A token without a signature, which Kafka's own validator for trials takes: the user is the client."""
    now = int(datetime.now(UTC).timestamp())
    parts = ({"alg": "none"}, {"sub": client, "scope": "kafka", "iat": now, "exp": now + life_s})
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts)
        + "."
    )
