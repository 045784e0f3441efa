"""A backup of a system was put back: what was done since is asked of it again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from uuid_utils.compat import uuid7

from olvido.core.acts import Verb
from olvido.core.errors import InvalidInput
from olvido.ledger.restores import AskedAgain, Restores
from olvido.operators.desk.acts import new_act
from olvido.operators.desk.ledger import database
from olvido.operators.desk.topics import check_sink
from olvido.schemas.settings.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """A backup that was put back."""

    sink: str
    backup_taken_at: datetime
    since: datetime  # what was done from here on is asked again
    declared_at: datetime

    @property
    def name(self) -> str:
        """What it is called once it is declared."""
        return f"restore-{self.sink}-{self.declared_at:%Y%m%d-%H%M%S}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What declaring a restore would ask for."""

    again: AskedAgain
    older_than_ledger: bool  # the backup is older than all that the ledger knows; all of it counts


def restore_of(
    declared: Deployment, sink: str, *, backup_taken_at: datetime, margin: timedelta, now: datetime
) -> Restore:
    """A backup that was put back, as it may be declared.

    Raises:
        InvalidInput: there is no such sink, or the backup is of the future.
    """
    if backup_taken_at > now:
        raise InvalidInput("backup_taken_at", "is in the future: say when the backup was taken")
    check_sink(declared, sink)
    return Restore(
        sink=sink, backup_taken_at=backup_taken_at, since=backup_taken_at - margin, declared_at=now
    )


def preview(declared: Deployment, restore: Restore) -> Preview:
    """What would be asked again. Nothing is written.

    Raises:
        AlreadyOpen: the same is declared already, and not at its end.
    """
    restores = Restores(database(declared))
    first = restores.first_request_at()
    again = restores.preview(
        restore.sink,
        backup_taken_at=restore.backup_taken_at,
        since=restore.since,
        now=restore.declared_at,
    )
    return Preview(again=again, older_than_ledger=first is None or restore.since < first)


def declare(declared: Deployment, restore: Restore, reason: str) -> AskedAgain:
    """Have one sink do again all lasting work since its backup. It is unsafe until the last receipt is in.

    Raises:
        InvalidInput: the reason cannot be recorded.
        AlreadyOpen: the same is declared already, and not at its end.
    """
    act = new_act(
        Verb.RESTORE, reason,
        operation=restore.name, sink=restore.sink,
        backup_taken_at=restore.backup_taken_at.isoformat(), since=restore.since.isoformat(),
    )  # fmt: skip
    return Restores(database(declared)).declare(
        act,
        operation_id=uuid7(),
        name=restore.name,
        sink=restore.sink,
        backup_taken_at=restore.backup_taken_at,
        since=restore.since,
    )
