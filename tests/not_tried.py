"""What a run left out, because its machine has no server for it: one line each closes the run.

A fixture skips its tests with a reason that begins with :data:`NOT_TRIED`. With ``OLVIDO_TEST_WHOLE``, which
``.ci/run`` sets, a run with such a line fails.
"""

import os
from collections import Counter

import pytest

NOT_TRIED = "not tried: "
WHOLE = "OLVIDO_TEST_WHOLE"


@pytest.hookimpl(specname="pytest_terminal_summary")
def pytest_report_what_was_not_tried(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the lines."""
    for reason, count in _reasons(terminalreporter).items():
        terminalreporter.write_line(f"{reason} ({count} tests)")


@pytest.hookimpl(specname="pytest_sessionfinish")
def pytest_fail_for_what_was_not_tried(session: pytest.Session) -> None:
    """Fail the run, where it is to be whole. A worker of xdist has no reporter; its starter has."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if os.environ.get(WHOLE) and reporter is not None and _reasons(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _reasons(reporter: pytest.TerminalReporter) -> Counter[str]:
    reasons = (
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in reporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    return Counter(reason for reason in reasons if reason.startswith(NOT_TRIED))
