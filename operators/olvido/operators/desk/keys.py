"""The keys that make handles and seal identities: made where they are missing, and never replaced."""

from datetime import UTC, datetime
from pathlib import Path

from olvido.operators.settings import private_keys
from olvido.schemas.privacy.handle_key import create_handle_key
from olvido.schemas.privacy.region_keys import create_region_key, key_epochs
from olvido.schemas.settings.deployment import Deployment


def create(deployment: Deployment, directory: Path, *, epoch: str | None = None) -> tuple[str, ...]:
    """Make the keys that are missing: the handle key, and for each region one of this month.

    A region that has a public key of any epoch keeps it, unless ``epoch`` names another: its private keys may
    well be on other machines. One that has a private key alone, of a call that was interrupted, gets its
    other half.

    Returns:
        The ids of the keys that are new.

    Raises:
        ConfigError: ``epoch`` names a key whose private half is elsewhere.
    """
    public_dir = directory / deployment.keys.public_dir
    create_handle_key(directory / deployment.keys.handle_file)
    made = list[str]()
    for region in deployment.regions:
        private_dir = private_keys(region, directory)
        if epoch is None and key_epochs(public_dir, region):
            continue
        wanted = epoch or next(reversed(key_epochs(private_dir, region)), datetime.now(UTC).strftime("%Y-%m"))
        is_new = not (private_dir / f"{region}-{wanted}.pem").exists()
        key_id = create_region_key(region, wanted, public_dir=public_dir, private_dir=private_dir)
        if is_new:
            made.append(key_id)
    return tuple(made)
