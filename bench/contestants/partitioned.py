"""Olvido with topics of another number of partitions: python partitioned.py COUNT [arguments of olvido].

The number is a constant of the product, for keys would move if it changed. Here the topics are new: the
module that says it is compiled with another number in that line, before anything else reads it.
"""

import importlib.util
import re
import sys
from pathlib import Path

TOPICS = "olvido.schemas.topics"


def main() -> None:
    """Be `olvido` with that many."""
    count = int(sys.argv[1])
    spec = importlib.util.find_spec(TOPICS)
    assert spec is not None, "it is installed"
    assert spec.origin is not None, "it is a file"
    source = Path(spec.origin).read_text(encoding="utf-8")
    changed, found = re.subn(r"(?m)^PARTITIONS = \d+", f"PARTITIONS = {count}", source)
    assert found == 1, "one line says it"
    module = importlib.util.module_from_spec(spec)
    sys.modules[TOPICS] = module
    exec(compile(changed, spec.origin, "exec"), module.__dict__)

    from olvido.operators.cli.app import main as olvido

    olvido(sys.argv[2:])


if __name__ == "__main__":
    main()
