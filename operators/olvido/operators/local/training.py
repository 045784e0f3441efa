"""Training runs of Kafka and the registry, after which each of their starts takes half the CPU.

A part starts, does what a stack has it do, and ends; then Java writes down what it had loaded and linked: an
AOT cache (JEP 483, 514), which is kept beside the part's jars. The two runs take 25 s of CPU. `olvido up`
does not do them: they would slow the first start by more than the next five gain, and the demo beside them.
A person who starts stacks all day does them once a machine, as `make test` does:

    python -m olvido.operators.local.training
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from olvido.broker import topics
from olvido.broker.contract import Record
from olvido.broker.kafka import KafkaPublisher, open_consumer
from olvido.core.catalogue import Catalogue
from olvido.operators.local import java, kafka, registry
from olvido.operators.local.artifacts import cache_folder, fetch_archive, fetch_jars, load_lock, repository
from olvido.operators.local.errors import PartFailed, tail
from olvido.operators.local.locks import locked
from olvido.operators.local.probes import kafka_answers, registry_answers
from olvido.operators.local.program import Program
from olvido.operators.local.stack import HEALTHY_S_MAX, LOOK_AGAIN_AFTER_S, PORTS_OF, Stack, temporary_stack
from olvido.operators.local.state import State, choose_port
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import KafkaSection, RegistrySection
from olvido.schemas.topics import REQUESTS, topics_of

WRITE_S_MAX = 300  # 10 s on an idle machine: a part that ends writes its cache first
RECORDS = 200
READ_S_MAX = 30  # fewer than all will do: nothing is lost but a little speed
NOBODY = Catalogue(regions=frozenset(), purposes=frozenset(), sinks=())


def train(environ: Mapping[str, str] = os.environ) -> None:
    """Have the AOT caches of Kafka and the registry. With both there it does nothing.

    Raises:
        DownloadFailed, PartFailed, StackError: as `up` does.
    """
    pinned, cache, base = load_lock(), cache_folder(environ), repository(environ)
    jars = fetch_jars(pinned[kafka.NAME], cache=cache, base=base)
    home = fetch_archive(pinned[registry.NAME], cache=cache, base=base)
    wanted = (java.aot_cache(jars, kafka.JVM), java.aot_cache(home, registry.JVM))
    with locked(cache / "training.lock", what="the training of Java"):  # another process may be at it
        if not all(each.exists() for each in wanted):
            with temporary_stack(parts=frozenset({"postgres"})) as stack:
                state = _with_ports(stack)
                kafka.prepare(stack.folder, state, jars=jars)
                programs = (
                    kafka.program(stack.folder, state, jars=jars),
                    registry.program(stack.folder, state, home=home),
                )
                for made, cache_file in zip(_run(stack, programs), wanted, strict=True):
                    _keep(made, cache_file)


def _with_ports(stack: Stack) -> State:
    state = stack.folder.load()
    for name in (*PORTS_OF[kafka.NAME], *PORTS_OF[registry.NAME]):
        state = state.with_port(name, choose_port(None, taken=frozenset(state.ports.values())))
    stack.folder.save(state)
    return state


def _run(stack: Stack, programs: tuple[Program, Program]) -> list[Path]:
    """Run both parts once, side by side; where each has written its cache."""
    made = [stack.directory / f"{program.name}.aot" for program in programs]
    stack.supervisor.apply(
        [_in_training(program, file) for program, file in zip(programs, made, strict=True)]
    )
    answers = (kafka_answers, registry_answers)
    for program in programs:
        stack.supervisor.start(program.name)
    for program, answer in zip(programs, answers, strict=True):
        _wait(stack, program, answer)
    _work(*(program.address for program in programs))
    with ThreadPoolExecutor(len(programs)) as pool:
        list(pool.map(stack.supervisor.stop, [program.name for program in programs]))
    return made


def _in_training(program: Program, file: Path) -> Program:
    """The same program, which writes a cache instead of reading one."""
    command = tuple(
        f"{java.AOT_CACHE_OUTPUT}{file}" if word.startswith(java.AOT_CACHE) else word
        for word in program.command
    )
    return replace(program, command=command, stop_wait_s=WRITE_S_MAX)


def _wait(stack: Stack, program: Program, answers: Callable[[str], bool]) -> None:
    deadline = time.monotonic() + HEALTHY_S_MAX
    while not answers(program.address):
        if time.monotonic() > deadline:
            log = stack.folder.log(program.name)
            raise PartFailed(f"{program.name} did not answer. Its log, {log}, ends with:\n{tail(log)}")
        time.sleep(LOOK_AGAIN_AFTER_S)


def _work(bootstrap_servers: str, registry_url: str) -> None:
    """What any stack does: topics and schemas, compared again; records, written, read and committed."""
    section, schemas = (
        KafkaSection(bootstrap_servers=bootstrap_servers),
        Registry(RegistrySection(url=registry_url)),
    )
    for _ in range(2):
        topics.apply(section, schemas, NOBODY)
    for topic in topics_of(NOBODY):
        schemas.id_of(topic.subject, topic.schema)
        schemas.versions(topic.subject)
    publisher = KafkaPublisher(section, client_id="training")
    publisher.publish([Record(REQUESTS.name, str(number).encode(), b"-") for number in range(RECORDS)])
    publisher.close()
    consumer = open_consumer(
        section, group="training", client_id="training", more={"auto.offset.reset": "earliest"}
    )
    consumer.subscribe([REQUESTS.name])
    for message in consumer.consume(RECORDS, timeout=READ_S_MAX):
        consumer.commit(message=message)
    consumer.close()


def _keep(made: Path, cache_file: Path) -> None:
    """Give a cache its name when it is whole on the disk: Java would believe half of one.

    Other parts may be reading the one that is replaced, which they go on doing.
    """
    with tempfile.TemporaryDirectory(dir=cache_file.parent, prefix="training-") as folder:
        copy = Path(shutil.copy(made, folder))
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        copy.replace(cache_file)


if __name__ == "__main__":
    train()
