"""What a plan says of quotas."""

from pathlib import Path

import pytest

from olvido.core.errors import ConfigError
from olvido.operators.desk.replay.planning import pace_of
from olvido.schemas.settings.deployment import Deployment

TOML = """
regions = ["cn"]
purposes = ["marketing"]
[sinks.crm]
kind = "http"
region = "cn"
identities = ["email"]
quota = "{quota}"
"""


def deployment_with(tmp_path: Path, quota: str) -> Deployment:
    path = tmp_path / "olvido.toml"
    path.write_text(TOML.format(quota=quota))
    return Deployment.load(path)


def test_the_lesser_of_quota_and_rate_holds(tmp_path, deployment):
    declared = deployment_with(tmp_path, "7200/hour")
    assert pace_of(declared, "crm", 200.0) == 2.0
    assert pace_of(declared, "crm", 1.0) == 1.0
    assert pace_of(deployment, "crm", 200.0) == 200.0
    assert "quota" not in declared.sinks["crm"].own


def test_a_quota_that_is_none_is_refused_with_its_key_and_an_example(tmp_path):
    with pytest.raises(ConfigError, match=r"sinks\.crm\.quota: .*such as 50/s"):
        deployment_with(tmp_path, "lots")
