"""``python -m chaos``: the rig from the shell, and ``make chaos``."""

import random
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from chaos.bugs import BUGS
from chaos.faults import KINDS
from chaos.report import as_json, show_bugs, show_run
from chaos.rig import Rig
from chaos.stage import stage

RED = 1


def main(
    kills: Annotated[int, typer.Option(help="How many SIGKILLs, over points and victims.")] = 200,
    seed: Annotated[
        int | None, typer.Option(help="What is done to whom, and where. Default: another one.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="A soak of that length instead of so many kills.")] = 0.0,
    rate: Annotated[
        float, typer.Option(help="People a second who decide something: three events of two.")
    ] = 20.0,
    every: Annotated[float, typer.Option(help="Seconds from one fault to the next. In a soak: 20.")] = 0.0,
    faults: Annotated[str, typer.Option(help="Besides kills, with commas between; default: all.")] = "",
    bugs: Annotated[
        str, typer.Option(help="`all`, or names with commas between: plant these, one by one.")
    ] = "",
    output: Annotated[str, typer.Option("--output", "-o", help="table or json")] = "table",
) -> None:
    """Kill the real processes while work flows, and compare what was accepted with what was done.

    Ends with 0 if nothing was found (with --bugs: if every bug was), else with 1.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that all is taken down
    given = seed if seed is not None else random.SystemRandom().randrange(10**6)
    names = [] if not bugs else list(BUGS) if bugs == "all" else bugs.split(",")
    if unknown := set(names) - set(BUGS):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}; there are {', '.join(BUGS)}", param_hint="--bugs"
        )
    kinds = tuple(filter(None, faults.split(",")))
    if unknown := set(kinds) - set(KINDS):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}; there are {', '.join(KINDS)}", param_hint="--faults"
        )
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("the parts start")

        def say(text: str) -> None:
            progress.update(task, description=text)

        with stage(say, people=round(minutes * 60 * rate)) as standing:
            rig = Rig(standing, given, say)
            if names:
                caught = []
                for name in names:
                    caught.append(rig.plant(name))
                    console.print(f"{name}: {'red' if caught[-1].caught else 'NOT CAUGHT'}", highlight=False)
                ok = all(one.caught for one in caught)
                text = as_json(caught) if output == "json" else show_bugs(caught)
            else:
                result = rig.run(
                    kills=0 if minutes else kills,
                    seconds=minutes * 60,
                    at_most_s=minutes * 60 if minutes else max(180.0, kills * 9.0),
                    every_s=every or (20.0 if minutes else 2.0),
                    rate=rate,
                    kinds=kinds,
                )
                ok = not result.findings.found
                text = as_json(result) if output == "json" else show_run(result)
                if not ok:
                    _keep(standing.chain.stack.folder.logs, console)
    sys.stdout.write(text + "\n")
    raise typer.Exit(0 if ok else RED)


def _keep(logs: Path, console: Console) -> None:
    """What the processes said, kept for whoever looks for the cause."""
    import shutil
    import tempfile

    kept = Path(tempfile.mkdtemp(prefix="olvido-chaos-"))
    shutil.copytree(logs, kept, dirs_exist_ok=True)
    console.print(f"the logs are in {kept}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
