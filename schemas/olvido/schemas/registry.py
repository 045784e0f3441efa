"""The schema registry, by Confluent's HTTP API: which schema ids stand under a topic's subject.

Olvido asks six questions of that API, and asks them directly: Confluent's client brings two libraries for
OAuth, and half of the CPU of a sink's imports went there (docs/decisions/0013).
"""

import json
from collections.abc import Collection, Sequence
from ssl import SSLContext
from typing import Any
from urllib.parse import quote

from httpx2 import Client, HTTPError, HTTPStatusError, InvalidURL

from olvido.core.errors import ConfigError, OlvidoError, Unavailable
from olvido.schemas.settings.deployment import REGISTRY_IN_CLEAR, RegistrySection
from olvido.schemas.shipped import schema_text
from olvido.schemas.tls import NOT_TRUSTED, TlsFault, client_context, distrust_of

COMPATIBILITY = "FULL_TRANSITIVE"  # any old event can be replayed, any old consumer survives
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
ANSWER_S_MAX = 5.0

_REFUSED = range(400, 500)  # statuses by which the registry says that the question is wrong


class _RefusedByRegistry(OlvidoError):
    """The registry understood the question and refuses it; the text is its own reason."""


class Registry:
    """Asks one registry, and turns its answers into values and our faults. Threads may share it."""

    def __init__(self, where: RegistrySection) -> None:
        """
        Args:
            where: where the API is, whom it is trusted by, and who we are there.

        Raises:
            ConfigError: it is not the address of anything, or another machine that would be spoken to in
                clear; a secret or a file that cannot be used.
        """
        if host := where.readable_abroad:
            raise ConfigError(f"registry.url: {REGISTRY_IN_CLEAR.format(host)}")
        self.url = where.url
        encrypted = where.url.startswith("https:")
        try:
            self._client = Client(
                base_url=where.url,
                timeout=ANSWER_S_MAX,
                headers={"Accept": MEDIA_TYPE},
                auth=_login(where),
                # In clear there is no certificate to verify, and reading all that the machine trusts takes
                # 30 ms of CPU, in each command.
                verify=_context(where) if encrypted else False,
                # A proxy that the environment names passes TLS on unread; anything else it could change.
                trust_env=encrypted,
            )
        except InvalidURL:
            raise ConfigError("registry.url is not the address of a schema registry") from None

    def id_of(self, subject: str, schema: str) -> int:
        """The id of our schema under a subject.

        Raises:
            ConfigError: it is not registered there.
            Unavailable: the registry does not answer.
        """
        found = self.find(subject, schema_text(schema))
        if found is None:
            raise ConfigError(f"schema {schema} is not registered under {subject}; run: olvido topics apply")
        return found

    def find(self, subject: str, text: str) -> int | None:
        """The id that a schema has under a subject; None where it is not registered there.

        Raises:
            Unavailable: the registry does not answer.
        """
        try:
            found = self._ask("POST", "subjects", subject, body={"schema": text}, refusals={404})
        except _RefusedByRegistry:
            return None
        return int(found["id"])

    def versions(self, subject: str) -> Sequence[int]:
        """The numbers of the versions under a subject, from 1 on; none where the subject does not exist.

        Raises:
            Unavailable: the registry does not answer.
        """
        try:
            numbers = self._ask("GET", "subjects", subject, "versions", refusals={404})
        except _RefusedByRegistry:
            return ()
        return [int(number) for number in numbers]

    def reach(self) -> None:
        """Ask whether it answers.

        Raises:
            Unavailable: it does not.
        """
        self._ask("GET", "schemas", "types")

    def problem_with(self, subject: str, schema: str) -> str | None:
        """What the registry has against our schema as the subject's next version; None if nothing.

        Raises:
            Unavailable: the registry does not answer.
        """
        if not self.versions(subject):
            return None
        body = {"schema": schema_text(schema)}
        path = ("compatibility", "subjects", subject, "versions", "latest")
        try:
            answer = self._ask("POST", *path, body=body, refusals=_REFUSED)
        except _RefusedByRegistry as error:
            return str(error)
        if answer["is_compatible"]:
            return None
        return f"{schema}.avsc is not {COMPATIBILITY} with a registered version"

    def register(self, subject: str, schema: str) -> int:
        """Make our schema the subject's newest version, under FULL_TRANSITIVE. A repeat changes nothing.

        Raises:
            ConfigError: the registry refuses it as incompatible.
            Unavailable: the registry does not answer.
        """
        return self.register_text(subject, schema_text(schema))

    def register_text(self, subject: str, text: str) -> int:
        """The same for a schema given as text."""
        refusals = {409, 422}
        try:
            # The rule first: a crash between the two leaves a subject that is too strict, never too lax.
            self._ask("PUT", "config", subject, body={"compatibility": COMPATIBILITY}, refusals=refusals)
            given = self._ask(
                "POST", "subjects", subject, "versions", body={"schema": text}, refusals=refusals
            )
        except _RefusedByRegistry as error:
            raise ConfigError(
                f"the registry refuses the schema under {subject} as not {COMPATIBILITY}: {error}"
            ) from None
        return int(given["id"])

    def _ask(self, method: str, *path: str | int, body: object = None, refusals: Collection[int] = ()) -> Any:  # noqa: ANN401 - JSON
        """One question and its answer in JSON. Each may be asked again: none does more the second time.

        Raises:
            _RefusedByRegistry: it answers with one of the statuses in ``refusals``.
            Unavailable: it does not answer, or with what no registry says.
        """
        where = "/".join(quote(str(part), safe="") for part in path)
        try:
            answer = self._client.request(method, where, json=body)
            if answer.status_code in refusals:
                raise _RefusedByRegistry(_reason(answer.text))
            answer.raise_for_status()
            return answer.json()
        except (HTTPError, OSError, ValueError) as error:
            raise Unavailable(f"schema registry at {self.url} {_fault_and_fix(error)}") from error


def _fault_and_fix(error: Exception) -> str:
    if isinstance(error, HTTPStatusError) and error.response.status_code in {401, 403}:
        return f"answers {error.response.status_code}: check registry.username and registry.password"
    distrust = distrust_of(error)
    if distrust == NOT_TRUSTED:
        return f"does not answer: {distrust}; check registry.ca_file"
    return f"does not answer: {distrust or type(error).__name__}"


def _login(where: RegistrySection) -> tuple[str, str] | None:
    if where.username is None or where.password is None:
        return None
    return where.username, where.password.read(key="registry.password")


def _context(where: RegistrySection) -> SSLContext:
    password = "" if where.key_password is None else where.key_password.read(key="registry.key_password")
    try:
        return client_context(
            ca_file=where.ca_file,
            certificate=where.certificate_file,
            key=where.key_file,
            key_password=password,
        )
    except TlsFault as fault:
        name = "ca_file" if fault.part == "ca_file" else "certificate_file"
        raise ConfigError(f"registry.{name} {fault.why}") from None


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        return "it gives no reason"
