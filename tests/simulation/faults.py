"""What may go wrong, and how often in this world: each seed switches a random half of it off."""

import random
from dataclasses import dataclass, field

# An act that comes when all else is done, mostly after the faults have ended: a process may die at it still.
LATE = "commit finish_operations"
# Acts that few worlds come to: a process dies at them more often.
RARE = (
    "processors: before commit write_request_states",
    "processors: after commit write_request_states",
    "processors: before commit end_publications",
    "processors: after commit end_publications",
    "commit delete_awaiting",
    "commit insert_looks",
    "commit hold_back",
    "before look again",
    "ask the journal",
    LATE,
)
# How often each fault strikes where it can, when a seed has it switched on.
RATES = {
    "crash": 0.012,  # at each crash point
    "broker_before": 0.02,  # a write fails and nothing was appended
    "broker_after": 0.02,  # a write fails and all or some of it was appended
    "broker_duplicate": 0.02,  # a producer's own retry appends twice
    "broker_read": 0.01,  # an admin request finds the broker away
    "commit_lost": 0.06,  # offsets are not committed
    "ledger_away": 0.015,  # a transaction fails before it began
    "commit_unknown": 0.02,  # a COMMIT fails and took place, or did not
    "stream_loses": 0.04,  # Faust never hands a record to its agent
    "rebalance": 1.0,  # partitions move at random times
    "zombie": 0.5,  # of rebalances: the old owner does not know and goes on
    "clock": 1.0,  # a process's clock jumps
    "slow": 1.0,  # a process gets a tenth of the turns
    "registry_down": 1.0,  # for some time
    "sink_down": 0.04,
    "sink_throttled": 0.03,
    "sink_before": 0.03,
    "sink_after": 0.05,
    "sink_deferred": 0.08,
    "sink_lies": 0.15,
    "sink_refuses": 0.02,
    "key_destroyed": 0.5,
    "restore": 0.3,
    "brake": 1.0,  # few erasures may start in an hour, and people decide about the others
    "grace": 1.0,  # an erasure waits before any sink is asked
    "limit": 1.0,  # erasures above a limit of their sink, until two people release them
    "comes_back": 1.0,  # an erased row stands there again, as after an import of yesterday's file
    "receipt_forged": 1.0,  # somebody else answers a task, after its sink or with an impossible instant
}


class Crash(BaseException):
    """The process is dead from here on. Nothing of the product may catch it."""


@dataclass
class Faults:
    """The dice of one world."""

    rng: random.Random
    on: frozenset[str]
    off_for_good: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def swarm(cls, rng: random.Random, without: frozenset[str] = frozenset()) -> "Faults":
        """A random half of all faults (swarm testing: what is off lets the others go further)."""
        names = sorted(RATES)
        return cls(rng, frozenset(name for name in names if rng.random() < 0.5) - without)

    def strikes(self, name: str) -> bool:
        """Whether the fault happens here and now; counted when it does."""
        if self.off_for_good or name not in self.on or self.rng.random() >= RATES[name]:
            return False
        self.count(name)
        return True

    def has(self, name: str) -> bool:
        """Whether this world knows the fault at all."""
        return name in self.on

    def point(self, name: str) -> None:
        """A place between two acts where the process may die.

        Raises:
            Crash: it does.
        """
        if "crash" not in self.on or (self.off_for_good and not name.endswith(LATE)):
            return
        # Transactions are few among all acts, and few requests wait for a verification.
        rate = RATES["crash"] * (40 if name.endswith(RARE) else 5 if " commit " in name else 1)
        if self.rng.random() < rate:
            self.count(f"crash: {name}")
            raise Crash(name)

    def count(self, what: str) -> None:
        """Count something that the run is to have reached."""
        self.counts[what] = self.counts.get(what, 0) + 1
