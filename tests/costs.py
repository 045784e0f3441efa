"""What each file of tests costs, and in which order files begin: the dearest first, or they would end alone.

``python tests/costs.py test.xml proof.xml`` writes ``costs.json`` anew from what ``make test JUNIT=test.xml``
and ``make proof JUNIT=proof.xml`` measured.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

TABLE = Path(__file__).with_name("costs.json")
UNKNOWN_S = 30.0  # of a file that was not measured yet: better too early than last
LONG_S = 10.0  # a test that takes longer has a line of its own: its group may be a part of its file
SHOWN = 20


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, object, object]:
    """Keep each file in one worker, and begin with the dearest.

    The groups are given before xdist reads them, and the order after the files were shuffled.
    """
    _group_by_file(items)
    collected = yield
    _order(items)
    return collected


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show which files cost the most."""
    reports = [
        report
        for name in ("passed", "failed", "error", "")
        for report in terminalreporter.getreports(name)
        if isinstance(report, pytest.TestReport)
    ]
    terminalreporter.section("the twenty slowest files")
    for line in _slowest(reports):
        terminalreporter.write_line(line)


def _group_by_file(items: list[pytest.Item]) -> None:
    """Give each test that names no group its file: they share what their fixtures start, in one worker."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(_file(item)))


def _order(items: list[pytest.Item]) -> None:
    """Begin with the dearest groups."""
    known: dict[str, float] = json.loads(TABLE.read_text(encoding="utf-8"))
    groups = {item: _group(item) for item in items}
    tests = Counter(_file(item) for item in items if _name(item) not in known)
    costs: Counter[str] = Counter()
    for item, name in groups.items():  # a group may be a part of a file, or some files together
        if _name(item) in known:
            costs[name] += known[_name(item)]
        else:
            costs[name] += known.get(_file(item), UNKNOWN_S) / tests[_file(item)]
    place = {id(item): number for number, item in enumerate(items)}
    items.sort(key=lambda item: (-costs[groups[item]], groups[item], place[id(item)]))


def _slowest(reports: Sequence[pytest.TestReport]) -> list[str]:
    """The dearest files of a run, a line each: seconds, and how many tests."""
    seconds: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for report in reports:
        file = report.nodeid.partition("::")[0]
        seconds[file] += report.duration
        tests[file] += report.when == "call"
    return [f"{cost:8.1f} s {tests[file]:5} {file}" for file, cost in seconds.most_common(SHOWN)]


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _name(item: pytest.Item) -> str:
    return _without_group(item.nodeid)


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    assert marker is not None, "each has one since it was collected"
    return str(marker.args[0])


def _without_group(name: str) -> str:
    """The name of a test without its group, which xdist writes behind it."""
    return re.sub(r"@[^]]*$", "", name)


def main() -> None:
    """Write the table of costs anew."""
    costs: Counter[str] = Counter()
    for case in (case for path in sys.argv[1:] for case in ElementTree.parse(path).iter("testcase")):
        file = case.get("classname", "").replace(".", "/") + ".py"
        name = _without_group(case.get("name", ""))
        seconds = float(case.get("time", 0))
        costs[f"{file}::{name}" if seconds >= LONG_S else file] += seconds
    rounded = {name: round(cost, 1) for name, cost in sorted(costs.items())}
    TABLE.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
