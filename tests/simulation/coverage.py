"""What a run must have reached: a quiet simulator is a blind one."""

from collections.abc import Mapping

from simulation.faults import RATES

from olvido.core.causes import Cause
from olvido.core.looks import LookResult
from olvido.core.outcomes import Outcome

PER_10_000 = 100  # how often each of these happens at least in ten thousand worlds

# Where a process may die. Whoever adds an act of I/O finds its points in a run and adds them here.
CRASH_POINTS = frozenset(
    {
        *(f"upstream: {when} publish" for when in ("before", "after")),
        *(
            f"processors: {when} {what}"
            for when in ("before", "after")
            for what in (
                "publish", "commit insert_requests", "commit insert_consent_changes",
                "commit insert_verifications", "commit write_request_states", "commit delete_awaiting",
                "commit begin_publication", "commit add_progress", "commit end_publications",
                "commit postpone", "commit finish_operations", "commit hold_back", "commit end_held",
                "commit offsets",
            )
        ),
        "processors: before take",
        "processors: before ask the broker",
        *(
            f"recorder: {when} {what}"
            for when in ("before", "after")
            for what in (
                "publish", "commit settle_tasks", "commit upsert_dead_letters", "commit begin_publication",
                "commit add_progress", "commit end_publications", "commit insert_looks", "commit offsets",
            )
        ),
        "recorder: before consume",
        *(
            f"sink: {when} {what}"
            for when in ("before", "after")
            for what in ("publish", "commit of the target", "commit of the look", "commit offsets")
        ),
        "sink: before look again",
        "sink: before consume",
        "sink: before apply",
        "sink: before ask the journal",
    }
)  # fmt: skip

# All outcomes and all causes that there are today: each can be had on the simulated paths.
EXPECTED = frozenset(
    {
        *(f"crash: {point}" for point in CRASH_POINTS),
        *(f"outcome: {outcome.value}" for outcome in Outcome),
        *(f"cause: {cause.value}" for cause in Cause if cause is not Cause.SCHEMA_NOT_ALLOWED),
        *(name for name in RATES if name != "crash"),
        *(f"look: {result.value}" for result in (LookResult.FOUND_AGAIN, LookResult.NOT_LOOKED)),
        "commit_unknown: it took place",
        "commit_unknown: it did not take place",
    }
)


def least(worlds: int) -> float:
    """How often each thing must have happened in so many worlds."""
    return PER_10_000 * worlds / 10_000


def missing(counts: Mapping[str, int], *, at_least: float) -> list[str]:
    """What was reached too seldom, and what nobody said may be reached; each with how often."""
    unlisted = {what for what in counts if what.startswith("crash: ")} - EXPECTED
    return [
        f"{what}: {counts.get(what, 0)}"
        for what in sorted(EXPECTED | unlisted)
        if counts.get(what, 0) < at_least or what in unlisted
    ]


def missing_of_few(counts: Mapping[str, int]) -> list[str]:
    """What a run of some hundred worlds must have reached and has not.

    Each kind of fault, each outcome and each cause; and of the crash points, of which some come in one world
    of a hundred, all but one in ten.
    """
    seldom = missing(counts, at_least=1)
    by_chance = [f"crash: {point}: 0" for point in CRASH_POINTS if f"crash: {point}: 0" in seldom]
    return seldom if len(by_chance) > len(CRASH_POINTS) // 10 else sorted(set(seldom) - set(by_chance))
