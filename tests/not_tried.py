"""What a run left out, because its machine has no server for it: one line each closes the run.

A fixture skips its tests with a reason that begins with :data:`NOT_TRIED`. ``.ci/run`` fails on such a line.
"""

from collections import Counter

import pytest

NOT_TRIED = "not tried: "


@pytest.hookimpl(specname="pytest_terminal_summary")
def pytest_report_what_was_not_tried(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the lines."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    for reason, count in reasons.items():
        if reason.startswith(NOT_TRIED):
            terminalreporter.write_line(f"{reason} ({count} tests)")
