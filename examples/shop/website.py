"""The shop's website: an upstream service that tells Olvido what people decide, by the SDK.

It stands for the service you have already. It reads what people said as lines of JSON, each a list of things
said at about the same time, and answers each line with the ids under which Olvido accepted them:

    echo '[{"say": "erase", "identities": {"email": "ana@correo.example"}}]' | python examples/shop/website.py

Where the broker, the registry and the keys are, the environment tells (docs/producers.md).
"""

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from olvido.producers import Batch, Producer


def main(lines: Iterable[str]) -> None:
    """Emit what each line says; the answer comes when the broker has it."""
    with Producer.from_env() as olvido:
        print(json.dumps([]), flush=True)  # ready
        for line in lines:
            with olvido.batch() as batch:
                for said in json.loads(line):
                    say(batch, said)
            print(json.dumps([str(accepted.id) for accepted in batch.accepted]), flush=True)


def say(batch: Batch, said: dict[str, Any]) -> None:
    """Put one thing that a person said into the batch."""
    decision = said.pop("say")
    if "occurred_at" in said:
        said["occurred_at"] = datetime.fromisoformat(said["occurred_at"])
    match decision:
        case "erase":
            batch.request_erasure(**said)
        case "withdraw":
            batch.withdraw_consent(**said)
        case "grant":
            batch.grant_consent(**said)
        case other:
            raise SystemExit(f"nobody can say {other!r} here")


if __name__ == "__main__":
    main(sys.stdin)
