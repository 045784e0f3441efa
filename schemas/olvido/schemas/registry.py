"""The schema registry, by Confluent's HTTP API: which schema ids stand under a topic's subject.

Olvido asks six questions of that API, and asks them directly: Confluent's client brings two libraries for
OAuth, and half of the CPU of a sink's imports went there (docs/decisions/0013).
"""

import json
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import quote

from httpx2 import URL, Client, HTTPError, InvalidURL

from olvido.core.errors import ConfigError, OlvidoError, Unavailable
from olvido.schemas.shipped import schema_text

COMPATIBILITY = "FULL_TRANSITIVE"  # any old event can be replayed, any old consumer survives
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
ANSWER_S_MAX = 5.0

_REFUSED = range(400, 500)  # statuses by which the registry says that the question is wrong


class _RefusedByRegistry(OlvidoError):
    """The registry understood the question and refuses it; the text is its own reason."""


class Registry:
    """Asks one registry, and turns its answers into values and our faults. Threads may share it."""

    def __init__(self, url: str) -> None:
        """
        Args:
            url: where the API is, such as ``http://127.0.0.1:8081/apis/ccompat/v7``. A user and a
                password in it are sent as HTTP's basic authentication.

        Raises:
            ConfigError: it is not the address of anything.
        """
        try:
            self._client = Client(
                base_url=url,
                timeout=ANSWER_S_MAX,
                headers={"Accept": MEDIA_TYPE},
                # In clear there is no certificate to verify, and reading all that the machine trusts takes
                # 30 ms of CPU, in each command.
                verify=URL(url).scheme == "https",
            )
            self.url = str(URL(url).copy_with(username=None, password=None))
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
            raise Unavailable(
                f"schema registry at {self.url} does not answer: {type(error).__name__}"
            ) from error


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        return "it gives no reason"
