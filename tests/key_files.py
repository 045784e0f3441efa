"""Keys in files, as a deployment has them: of regions, of the control plane, and of principals."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from values import NOW

from olvido.core.catalogue import Catalogue
from olvido.core.events import ConsentChange, PrivacyRequest
from olvido.core.ids import task_id
from olvido.core.principals import Principal, Role
from olvido.core.rights.known import RIGHTS
from olvido.core.rights.names import Right
from olvido.core.sessions import CONTROL
from olvido.core.subject import Identity, IdentityKind
from olvido.core.tasks import Task
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.privacy.principal_keys import KeyRing, create_signing_key
from olvido.schemas.privacy.region_keys import create_region_key
from olvido.schemas.privacy.sealing import Sealer
from olvido.schemas.privacy.seals import ControlSeals, Seals

EPOCH = "2026-11"
NEVER = datetime.min.replace(tzinfo=UTC)
ALWAYS = datetime.max.replace(tzinfo=UTC)

# Takes what nobody signed: for tests of what is decided of an event once it is known who asks.
UNSIGNED = ControlSeals({}, KeyRing(Path("nowhere"), {}), None, accept_unsigned_until=ALWAYS)


def principals_of(catalogue: Catalogue, **changes: Principal) -> dict[str, Principal]:
    """Those of a deployment that declares none by itself."""
    roles = {"producer": Role.PRODUCER, "verifier": Role.VERIFIER, "desk": Role.DESK}
    roles |= {f"sink-{sink.name}": Role.SINK for sink in catalogue.sinks}
    return {
        name: Principal(
            name=name,
            role=role,
            rights=frozenset(RIGHTS),
            purposes=catalogue.purposes,
            regions=catalogue.regions,
            identities=frozenset(IdentityKind),
            sinks=frozenset({name.removeprefix("sink-")} if role is Role.SINK else ()),
        )
        for name, role in roles.items()
    } | changes


class KeyFiles:
    """A folder with all keys of a deployment. What is asked for and not there is made."""

    def __init__(self, folder: Path, regions: Iterable[str] = ("cn", "sg")) -> None:
        self.folder, self.public, self.private = folder, folder / "public", folder / "private"
        for region in (CONTROL, *regions):
            self.add(region)

    def add(self, region: str, epoch: str = EPOCH) -> None:
        """Make a region's key of an epoch."""
        create_region_key(region, epoch, public_dir=self.public, private_dir=self.private)

    def signing_file(self, principal: str = "producer") -> Path:
        """The private key of a principal."""
        path = self.folder / "signing" / f"{principal}.key"
        if not path.exists():
            create_signing_key(principal, private_path=path, public_dir=self.public)
        return path

    def sealer(self, principal: str = "producer", *, now: datetime = NOW) -> Sealer:
        """Seals as a principal."""
        return Sealer(self.public, self.signing_file(principal), clock=lambda: now)

    def opener(self, region: str) -> Opener:
        """Opens a region's boxes."""
        return Opener(region, self.private)

    def seals(self, principals: dict[str, Principal], *, until: datetime = NEVER) -> Seals:
        """Checks as a sink does."""
        return Seals(principals, KeyRing(self.public, {}), accept_unsigned_until=until)

    def control_seals(self, principals: dict[str, Principal], *, until: datetime = NEVER) -> ControlSeals:
        """Checks as processors and recorder do."""
        return ControlSeals(
            principals, KeyRing(self.public, {}), self.opener(CONTROL), accept_unsigned_until=until
        )


def sealed_task(sealer: Sealer, task: Task, identities: Sequence[Identity]) -> Task:
    """The task as the processors make it of a sealed event that asks one region for the same."""
    sealed = sealer.sealed_source(_source_of(task), identities)
    own_id = task_id(task.source_id, task.sink, task.action.value)
    return replace(task, task_id=own_id, box=sealed.boxes[0], seal=sealed.seal)


def _source_of(task: Task) -> PrivacyRequest | ConsentChange:
    shared = {
        "subject_id": task.subject_id,
        "handles": task.handles,
        "regions": (task.box.region,),
        "boxes": (),
    }
    purposes, decision, policy_version = task.what.particulars
    if task.request_id is None:
        [purpose] = purposes
        return ConsentChange(
            event_id=task.source_id, purpose=purpose, decision=decision, occurred_at=task.occurred_at,
            policy_version=policy_version, **shared,
        )  # fmt: skip
    return PrivacyRequest(
        request_id=task.source_id, right=Right(task.action.value), purposes=purposes,
        requested_at=task.occurred_at, verification_required=False, verified=None, **shared,
    )  # fmt: skip


def narrowed(principal: Principal, **scope: object) -> Principal:
    """A principal that may say less, or more."""
    return replace(principal, **scope)
