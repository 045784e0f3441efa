"""`make demo`: a stack of its own, the story on it, every promise checked; then all of it is stopped."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from demo.collect import collect, scanner_for
from demo.evidence import Findings, Promise, Story
from demo.promises import judge
from demo.services import Website
from demo.story import CLOSED, Stage, finish, play, tasks_expected
from demo.timing import timing_of
from demo.view import View
from demo.watch import Watch
from olvido.operators.desk.prepare import prepare
from olvido.operators.local import stack as stacks
from olvido.operators.local.locks import locked
from olvido.operators.local.program import Program
from olvido.operators.local.programs import programs_of
from olvido.operators.local.shop import marketing_program
from olvido.operators.local.stack import Stack
from olvido.operators.local.state import choose_port, write_env
from olvido.operators.settings import SHOP_ENV, STATE
from olvido.schemas.settings.deployment import FILE_NAME, Deployment, KafkaSection
from shop.leaks import Scanner
from shop.people import SEED, SYSTEMS, Cast, make_cast
from shop.plan import Plan, plan_rows
from shop.systems import Systems, check_shop, systems_at

HOME = Path(STATE) / "demo"
SETTLED_S_MAX = 10.0
EXIT_BROKEN = 1
EXIT_INTERRUPTED = 130
# What of the user's environment the demo's parts are given: where to download from, and nothing of a stack.
KEPT = ("OLVIDO_CACHE", "OLVIDO_MAVEN_MIRROR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the demo is: its folder under the project's, and the shop's files."""

    project: Path
    marketing_port: int

    @property
    def home(self) -> Path:
        """The demo's own project folder: a stack of its own, on ports of its own."""
        return self.project / HOME

    @property
    def shop(self) -> Path:
        """The shop's schemas and programs."""
        return self.project / "examples" / "shop"

    @property
    def state(self) -> Path:
        """Where the stack keeps everything."""
        return self.home / STATE

    @property
    def logs(self) -> Path:
        """Where the stack's programs log, and the website as well."""
        return self.state / "logs"

    @property
    def marketing_file(self) -> Path:
        """The marketing service's own."""
        return self.state / "marketing.sqlite"

    @property
    def targets(self) -> Mapping[str, str]:
        """The addresses of the three targets that are no databases of the stack."""
        return {
            "OLVIDO_MARKETING_URL": f"http://127.0.0.1:{self.marketing_port}",
            "OLVIDO_ANALYTICS_FILE": str(self.state / "analytics.duckdb"),
            "OLVIDO_STORE_CN_FILE": str(self.state / "store_cn.sqlite"),
        }

    def systems(self, stack: Stack) -> Systems:
        """The shop's five systems, on this stack."""
        return systems_at(
            shop=self.shop,
            crm=stack.dsn("crm"),
            store_cn=Path(self.targets["OLVIDO_STORE_CN_FILE"]),
            store_sg=stack.dsn("store_sg"),
            marketing=self.marketing_file,
            analytics=Path(self.targets["OLVIDO_ANALYTICS_FILE"]),
        )


def run_demo(directory: Path, console: Console, *, keep: bool = False, seed: int = SEED) -> int:
    """Tell the whole story on real parts, and check every promise.

    Args:
        directory: the project's folder, a clone: it holds olvido.toml and examples/shop.
        console: where to tell it.
        keep: leave everything running at the end.
        seed: other people, the same story.

    Returns:
        0 if every promise was kept, 1 if one was not, 130 after Ctrl-C.

    Raises:
        ConfigError: there is no shop, as in an installation without the examples.
        OlvidoError: a part could not be started, or something did not happen in time.
    """
    place, view = _place(directory), View(console)
    check_shop(place.shop)
    stopping = True
    with locked(place.home.parent / "demo.lock", what="the demo", console=console), _only(KEPT):
        try:
            promises = _tell(place, view, console, keep=keep, seed=seed)
            stopping = not keep
            _say_next(view, promises, running=keep)
            return 0 if all(promise.kept for promise in promises) else EXIT_BROKEN
        except KeyboardInterrupt:
            view.title("interrupted: stopping everything")
            return EXIT_INTERRUPTED
        finally:
            if stopping:
                stacks.down(place.home)


def _tell(place: Place, view: View, console: Console, *, keep: bool, seed: int) -> Sequence[Promise]:
    began_at = time.monotonic()
    view.title("Olvido's demo: real parts, real processes, people who do not exist")
    _clear(place)
    with ExitStack() as exits:
        pool = exits.enter_context(ThreadPoolExecutor(1))
        exits.enter_context(_as_interrupt(signal.SIGTERM))
        people = pool.submit(_people, seed)
        stack, systems = _start(place, people, console)
        cast, plan = people.result()
        view.tell(
            f"{plan.rows:,} rows of {len(cast.everybody):,} people in {len(SYSTEMS)} systems; one person has "
            f"{cast.heavy_rows:,} ({time.monotonic() - began_at:.0f} s to start)"
        )
        story, scanner = _play(place, view, stack, systems, (cast, plan), seed=seed)
        view.tell("Every request is final; now the systems themselves are read")
        findings = _collect(place, stack, systems, story, scanner, keep=keep)
    promises = judge(story, findings)
    view.promises(promises)
    view.times(timing_of(findings.requests, findings.tasks))
    view.verdict(promises)
    view.tell(f"{time.monotonic() - began_at:.0f} s in all")
    return promises


def _place(directory: Path) -> Place:
    return Place(project=directory.resolve(), marketing_port=choose_port(None))


def _people(seed: int) -> tuple[Cast, Plan]:
    cast = make_cast(seed)
    return cast, plan_rows(cast, seed)


def _clear(place: Place) -> None:
    """Begin anew: what an earlier demo left, or left running, goes."""
    stacks.down(place.home, purge=True)
    place.home.mkdir(parents=True, exist_ok=True)
    # So that `olvido` can be used in the demo's folder as in any project's.
    shutil.copyfile(place.project / FILE_NAME, place.home / FILE_NAME)


def _start(place: Place, people: "Future[tuple[Cast, Plan]]", console: Console) -> tuple[Stack, Systems]:
    """Have all parts up, the systems filled, and most of Olvido's processes running.

    The marketing service and two sinks are known to the supervisor, and started by the story.
    """
    later: list[Program] = [
        marketing_program(place.shop, port=place.marketing_port, file=place.marketing_file)
    ]

    def programs(parts: Stack) -> list[Program]:
        os.environ.update(parts.environment)
        write_env(place.state / SHOP_ENV, place.targets, comment="The demo's own targets.")
        os.environ.update(place.targets)
        declared = Deployment.load(place.home / FILE_NAME)
        with ThreadPoolExecutor(1) as pool:
            planting = pool.submit(lambda: place.systems(parts).plant(people.result()[1].tables))
            prepare(declared, place.home, lambda text: console.print(text, markup=False))
            planting.result()
        sinks_not_yet = {f"sink-{name}" for name in CLOSED}
        everything = programs_of(declared, place.home)
        later.extend(program for program in everything if program.name in sinks_not_yet)
        return [program for program in everything if program.name not in sinks_not_yet]

    stack = stacks.up(place.home, programs, console, environ=_download_settings(), usual_ports=False)
    stack.supervisor.apply(later, environment=stack.environment)
    return stack, place.systems(stack)


def _play(
    place: Place, view: View, stack: Stack, systems: Systems, people: tuple[Cast, Plan], *, seed: int
) -> tuple[Story, "Future[Scanner]"]:
    """Play the story; what was said and done, and what looks for everybody in it."""
    cast, plan = people
    website_log = place.logs / "website.log"
    with ExitStack() as exits:
        pool = exits.enter_context(ThreadPoolExecutor(1))
        watch = exits.enter_context(Watch(stack.ledger_dsn, stack.supervisor))
        website = exits.enter_context(
            Website(place.shop / "website.py", environment=_upstream(stack, place), log=website_log)
        )
        stage = Stage(
            cast=cast,
            plan=plan,
            systems=systems,
            before=systems.snapshot(),
            website=website,
            supervisor=stack.supervisor,
            watch=watch,
            kafka=KafkaSection(bootstrap_servers=stack.bootstrap_servers),
            marketing_port=place.marketing_port,
            tell=lambda text: view.tell(text, at_s=watch.elapsed_s),
            chance=random.Random(seed),
        )
        exits.enter_context(view.watching(watch, expected=tasks_expected(cast)))
        play(stage)
        # From here on we only wait: time to work out what to look for.
        scanner = pool.submit(scanner_for, cast)
        return finish(stage), scanner


def _upstream(stack: Stack, place: Place) -> Mapping[str, str]:
    """What an upstream service is given: broker, registry, and the keys that seal. No key that opens."""
    keys = place.state / "keys"
    return {
        "OLVIDO_KAFKA__BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "OLVIDO_REGISTRY__URL": stack.registry_url,
        "OLVIDO_KEYS__HANDLE_FILE": str(keys / "handle.key"),
        "OLVIDO_KEYS__PUBLIC_DIR": str(keys / "public"),
        "OLVIDO_KEYS__SIGNING_FILE": str(keys / "signing" / "producer" / "signing.key"),
        "OLVIDO_SOURCE": "shop-website",
    }


def _collect(
    place: Place, stack: Stack, systems: Systems, story: Story, scanner: "Future[Scanner]", *, keep: bool
) -> Findings:
    """Read everything, while nobody writes."""
    sinks = [f"sink-{name}" for name in SYSTEMS]
    for target in (systems.analytics, systems.store_cn):
        target.wait_until_written_anew(SETTLED_S_MAX)
    for name in sinks:
        stack.supervisor.stop(name)
    findings = collect(
        story,
        systems=systems,
        scanner=scanner.result(),
        kafka=KafkaSection(bootstrap_servers=stack.bootstrap_servers),
        registry_url=stack.registry_url,
        ledger_dsn=stack.ledger_dsn,
        kafka_folder=stack.folder.path / "kafka",
        log_folders=(place.logs,),
    )
    for name in sinks if keep else ():
        stack.supervisor.start(name)
    return findings


def _say_next(view: View, promises: Sequence[Promise], *, running: bool) -> None:
    if running:
        commands = {
            f"cd {HOME}": "the demo's own stack is still up, and is a project like any other",
            "olvido status": "what runs, and how far each reader is",
            "olvido requests list": "where each request stands",
            "olvido dead-letters list": "the record that nobody can read",
            "olvido down --purge": "stop it, and delete it",
        }
    else:
        commands = {
            "make demo KEEP=1": "the same, and leave it running to look around",
            "olvido up": "a stack of your own",
            "olvido status": "what runs, and how far each reader is",
            "olvido requests list": "where each request stands",
            "olvido down": "stop it, keep the data",
        }
    if not all(promise.kept for promise in promises):
        commands = {f"less {HOME}/.olvido/logs/*.log": "what each process said", **commands}
    view.next(commands)


def _download_settings() -> dict[str, str]:
    """The part of the environment that says where things are fetched from and kept; no address of a stack."""
    names = ("HOME", "XDG_CACHE_HOME", *KEPT)
    return {name: os.environ[name] for name in names if name in os.environ}


@contextmanager
def _only(kept: Sequence[str]) -> Iterator[None]:
    """Without the user's own OLVIDO_ settings, which all that is started here would inherit."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("OLVIDO_") and name not in kept:
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _as_interrupt(number: signal.Signals) -> Iterator[None]:
    """Let a signal do what Ctrl-C does, so that everything is stopped."""
    before = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, before)
