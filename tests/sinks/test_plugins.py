"""A kind of sink that cannot be loaded says why: an extra is missing, or its own module is wrong."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from olvido.core.errors import ConfigError
from olvido.sinks import plugins


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "import no_such_driver",
            r"needs no_such_driver, which is not installed: pip install 'olvido\[sinks\]'",
        ),
        (
            "import olvido.sinks.receipts",
            "cannot be imported from acmefile: No module named 'olvido.sinks.receipts'",
        ),
        (
            "from olvido.sinks.contract import Snk",
            "cannot be imported from acmefile: cannot import name 'Snk'",
        ),
        ("import acmefile.none", "cannot be imported from acmefile: No module named 'acmefile.none'"),
    ],
)
def test_a_wrong_import_of_a_plugin_is_no_missing_extra(deployment, tmp_path: Path, monkeypatch, line, says):
    (tmp_path / "acmefile.py").write_text(line + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint(name="acme", value="acmefile:Sink.from_section", group=plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [entry])
    with pytest.raises(ConfigError, match=says):
        plugins.make_sink("acme", plugins.settings_of(deployment, "crm"))
