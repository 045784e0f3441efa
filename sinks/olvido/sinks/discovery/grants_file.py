"""What the account that a sink runs under needs on a file: there are no roles inside of one."""

import re
import shlex


def file_modes(sink: str, kind: str, group: str) -> str:
    """The commands that let the members of a group work with a file, and nobody else.

    Args:
        sink: its name.
        kind: of the file.
        group: a group of the machine, of which the sink's account and the application's are members.
    """
    variable = re.sub(r"\W", "_", sink).upper() + "_FILE"
    file, folder = f'"${variable}"', f'"$(dirname "${variable}")"'
    members = shlex.quote(group)
    return "\n".join(
        [
            f"# A {_TITLES[kind]} file has no roles: who may write it may read and change all of it,",
            f"# whatever the data map says. {variable} is the path that sinks.{sink}.file gives.",
            f"# The sink's account and the application's are members of the group {members}.",
            f': "${{{variable}:?}}"',
            f"chgrp {members} {file} {folder}",
            "# Reading and writing.",
            f"chmod 660 {file}",
            f"# {_BESIDE[kind]}",
            f"chmod 2770 {folder}",
            "",
        ]
    )


_TITLES = {"sqlite": "SQLite", "duckdb": "DuckDB"}
_BESIDE = {
    "sqlite": "-wal, -shm and -journal are made and removed beside it, with its own mode.",
    "duckdb": "The log is made beside it, and the new file that takes its place.",
}
