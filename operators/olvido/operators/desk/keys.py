"""The keys that make handles, seal identities and sign: made where they are missing, and never replaced."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from olvido.core.errors import InvalidInput, did_you_mean
from olvido.core.sessions import CONTROL
from olvido.operators.settings import private_keys, signing_file
from olvido.schemas.privacy.handle_key import create_handle_key
from olvido.schemas.privacy.principal_keys import (
    Signer,
    create_signing_key,
    principal_keys,
    publish_signing_key,
    revoke_signing_key,
)
from olvido.schemas.privacy.region_keys import create_region_key, key_epochs
from olvido.schemas.settings.deployment import Deployment


def create(deployment: Deployment, directory: Path, *, epoch: str | None = None) -> tuple[str, ...]:
    """Make the keys that are missing: the handle key, those of regions and control plane, and of principals.

    Each region and the control plane get one of this month. A region that has a public key of any epoch keeps
    it, unless ``epoch`` names another: its private keys may well be on other machines. One that has a private
    key alone, of a call that was interrupted, gets its other half. A principal that has a public key keeps
    that.

    Returns:
        The ids of the keys that are new.

    Raises:
        ConfigError: ``epoch`` names a key whose private half is elsewhere.
    """
    public_dir = directory / deployment.keys.public_dir
    create_handle_key(directory / deployment.keys.handle_file)
    made = list[str]()
    for region in (CONTROL, *deployment.regions):
        private_dir = private_keys(region, directory)
        if epoch is None and key_epochs(public_dir, region):
            continue
        wanted = epoch or next(reversed(key_epochs(private_dir, region)), datetime.now(UTC).strftime("%Y-%m"))
        is_new = not (private_dir / f"{region}-{wanted}.pem").exists()
        key_id = create_region_key(region, wanted, public_dir=public_dir, private_dir=private_dir)
        if is_new:
            made.append(key_id)
    known = {name for name, _ in principal_keys(public_dir, deployment.declared_keys)}
    for name in deployment.all_principals:
        private_path = signing_file(name, directory)
        if private_path.exists():
            publish_signing_key(private_path, public_dir)
        elif name not in known:
            key_id = create_signing_key(name, private_path=private_path, public_dir=public_dir)
            made.append(f"{name}.{key_id}")
    return tuple(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOfPrincipal:
    """A key that a principal has, or had."""

    principal: str
    role: str  # empty: nobody of that name is declared, so it says nothing
    key_id: str
    signs: bool  # whether its private half is here, and is what the principal signs with
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a principal signs with from now on."""

    key_id: str
    before: tuple[str, ...]  # its other keys that are not revoked


def principals(deployment: Deployment, directory: Path) -> list[KeyOfPrincipal]:
    """The keys of all principals, by their names."""
    declared = deployment.all_principals
    found = principal_keys(directory / deployment.keys.public_dir, deployment.declared_keys)
    return [
        KeyOfPrincipal(
            principal=name,
            role=declared[name].role.value if name in declared else "",
            key_id=key_id,
            signs=_signs_with(name, directory) == key_id,
            revoked_at=key.revoked_at,
        )
        for (name, key_id), key in sorted(found.items())
    ]


def rotate(deployment: Deployment, directory: Path, principal: str) -> NewKey:
    """Make a principal a new key to sign with.

    Raises:
        InvalidInput: there is no such principal.
    """
    _check(deployment, principal)
    before = tuple(
        key.key_id
        for key in principals(deployment, directory)
        if key.principal == principal and key.revoked_at is None
    )
    key_id = create_signing_key(
        principal,
        private_path=signing_file(principal, directory),
        public_dir=directory / deployment.keys.public_dir,
    )
    return NewKey(key_id=key_id, before=before)


def revoke(deployment: Deployment, directory: Path, principal: str, key_id: str) -> None:
    """Have nothing taken any more that comes from now on and is signed with a key. A repeat changes nothing.

    Raises:
        InvalidInput: the principal has no such key.
    """
    known = [key.key_id for key in principals(deployment, directory) if key.principal == principal]
    if key_id not in known:
        raise InvalidInput("key_id", f"is no key of {principal}{did_you_mean(key_id, known)}")
    revoke_signing_key(
        principal, key_id, public_dir=directory / deployment.keys.public_dir, at=datetime.now(UTC)
    )


def _check(deployment: Deployment, principal: str) -> None:
    declared = deployment.all_principals
    if principal not in declared:
        raise InvalidInput("principal", f"{principal!r} is not declared{did_you_mean(principal, declared)}")


def _signs_with(principal: str, directory: Path) -> str | None:
    path = signing_file(principal, directory)
    return Signer.load(path).key_id if path.exists() else None
