"""What each file of tests costs, and in which order files begin: the dearest first, or they would end alone.

``python tests/costs.py junit.xml`` writes ``costs.json`` anew from what ``pytest --junitxml`` measured.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

TABLE = Path(__file__).with_name("costs.json")
UNKNOWN_S = 30.0  # of a file that was not measured yet: better too early than last
LONG_S = 10.0  # a test that takes longer has a line of its own: its group may be a part of its file
SHOWN = 20


def order(items: list[pytest.Item]) -> None:
    """Give each test a group (its file, if it names none) and begin with the dearest groups.

    A file's tests stay together, in one worker, since they share what their fixtures start.
    """
    known: dict[str, float] = json.loads(TABLE.read_text(encoding="utf-8"))
    groups = {item: _group(item) for item in items}
    tests = Counter(_file(item) for item in items if item.nodeid not in known)
    costs: Counter[str] = Counter()
    for item, group in groups.items():  # a group may be a part of a file, or some files together
        if item.nodeid in known:
            costs[group] += known[item.nodeid]
        else:
            costs[group] += known.get(_file(item), UNKNOWN_S) / tests[_file(item)]
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(groups[item]))
    place = {id(item): number for number, item in enumerate(items)}
    items.sort(key=lambda item: (-costs[groups[item]], groups[item], place[id(item)]))


def slowest(reports: Sequence[pytest.TestReport]) -> list[str]:
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


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else _file(item)


def main() -> None:
    """Write the table of costs anew."""
    costs: Counter[str] = Counter()
    for case in ElementTree.parse(sys.argv[1]).iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        name = re.sub(r"@[^]]*$", "", case.get("name", ""))  # the group, which xdist writes behind
        seconds = float(case.get("time", 0))
        costs[f"{file}::{name}" if seconds >= LONG_S else file] += seconds
    rounded = {name: round(cost, 1) for name, cost in sorted(costs.items())}
    TABLE.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
