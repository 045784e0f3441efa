"""A sink looks again by hand: which sinks can. What it finds is in the journeys, on real parts."""

import pytest
from conftest import PROJECT
from values import NOW

from olvido.core.errors import InvalidInput
from olvido.operators.desk.verifying import verify
from olvido.schemas.settings.deployment import Deployment


def test_a_sink_of_a_kind_that_cannot_look_again_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OLVIDO_MARKETING_URL", "http://127.0.0.1:9")
    declared = Deployment.load(PROJECT / "olvido.toml")
    with pytest.raises(InvalidInput, match="marketing is of kind http, which cannot look again"):
        verify(declared, "marketing", since=NOW)


def test_a_sink_that_is_not_declared_is_named_with_the_nearest():
    declared = Deployment.load(PROJECT / "olvido.toml")
    with pytest.raises(InvalidInput, match="'crmm'; did you mean 'crm'"):
        verify(declared, "crmm", since=NOW)
