"""The shop in a database, where decisions of one person are carried out, and applied again as time passes."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from sinks.looking import Boxes
from sinks.shop import a_customer
from sinks.targets import make_sink
from values import Journal

from olvido.core.looks import LaterLook
from olvido.core.outcomes import Outcome
from olvido.sinks.contract import OpenedTask

ANA = {"customer_id": "C-1", "email": "person1@example.com"}
SPAN = timedelta(days=31)  # with which a look is due that is taken after a month


class Shop:
    """The shop in a database, a sink of it, and what its looks publish."""

    def __init__(self, target: Any, folder: Path) -> None:
        self.target, self.boxes, self.sent = target, Boxes(folder), Journal()
        self.sink = make_sink(target.environment["OLVIDO_TEST_KIND"])
        self.sink.install()
        self.journal = "olvido." if "." in target.kept_erasures else "olvido_"

    def decide(self, *tasks: OpenedTask, **person: str) -> list[Outcome]:
        """Have decisions of one person carried out."""
        sealed = [self.boxes.sealed(task, **(person or ANA)) for task in tasks]
        return [receipt.outcome for receipt in self.sink.apply(sealed)]

    def step(self) -> list[LaterLook]:
        """Time passes, and the sink sweeps; what it published."""
        earlier = self.target.earlier.replace("applied_at", "due_at").format(int(SPAN.total_seconds()))
        self.target.run(f"UPDATE {self.journal}kept_decisions SET due_at = {earlier}")
        before = len(self.sent.records)
        self.boxes.sweeping(self.sink, self.sent).step()
        return self.boxes.looks(self.sent.records[before:])

    def kept(self) -> list[int]:
        """Of what is kept, the places of the next looks."""
        return [row[0] for row in self.target.run(f"SELECT place FROM {self.journal}kept_decisions")]

    def allowed(self) -> list[bool]:
        """Who may be written to, in the order of the keys."""
        return [bool(row[4]) for row in self.target.rows("customers")]

    def restricted(self) -> list[bool]:
        return [bool(row[5]) for row in self.target.rows("customers")]

    def imported(self, **columns: Any) -> None:
        """As an import of an old file would have it."""
        self.target.add("customers", a_customer(1, **columns))
