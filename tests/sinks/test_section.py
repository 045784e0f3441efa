"""A sink's own part of olvido.toml, read strictly: a mistake is answered with the key and its fix."""

import pytest
from sinks.shop import settings as sink_settings

from olvido.core.errors import ConfigError
from olvido.sinks.kinds.postgres import PostgresSink


def test_a_secret_that_is_written_out_is_answered_with_the_two_forms_and_not_repeated() -> None:
    settings = sink_settings({"dsn": "postgresql://olvido:hunter2@db/crm", "tables": {}})
    with pytest.raises(ConfigError) as refused:
        PostgresSink.from_section(settings)
    assert refused.value.__context__ is None  # pydantic's error, which holds the values
    assert 'write dsn = { env = "NAME" } or { file = "path" }' in str(refused.value)
    assert "hunter2" not in str(refused.value)
