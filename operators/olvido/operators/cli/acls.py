"""The rules of who may do what in Kafka, as the tools take them that apply them."""

import shlex
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from olvido.core.catalogue import Catalogue
from olvido.core.errors import InvalidInput, did_you_mean
from olvido.schemas.access_rules import Resource, Rule, processes_of, rules_of

COMMAND = 'kafka-acls --bootstrap-server "$BOOTSTRAP" --command-config admin.properties --add --force'


def users_of(catalogue: Catalogue, given: Sequence[str] = ()) -> dict[str, str]:
    """The Kafka user of each process: ``olvido-<process>``, where no other name is given.

    Args:
        catalogue: of the deployment.
        given: ``process=name`` each.

    Raises:
        InvalidInput: there is no such process, or two processes would be one user.
    """
    users = {process: f"olvido-{process}" for process in processes_of(catalogue)}
    for one in given:
        process, _, name = one.partition("=")
        if process not in users or not name:
            hint = did_you_mean(process, list(users))
            raise InvalidInput("user", f"{one!r} is no PROCESS=NAME of a process{hint}")
        users[process] = name
    if len(set(users.values())) < len(users):
        raise InvalidInput("user", "two processes would be one user, and each could do what the other may")
    return users


def kafka_commands(catalogue: Catalogue, users: Mapping[str, str]) -> str:
    """A command of Kafka's own tool for each user and resource."""
    lines = []
    for (process, resource, name), rules in _by_resource(catalogue):
        operations = " ".join(f"--operation {rule.operation.value}" for rule in rules)
        principal = shlex.quote(f"User:{users[process]}")
        lines.append(f"{COMMAND} --allow-principal {principal} {operations} --{resource.value} {name}")
    return "".join(f"{line}\n" for line in lines)


def strimzi_users(catalogue: Catalogue, users: Mapping[str, str], *, cluster: str) -> list[dict[str, Any]]:
    """A KafkaUser for each process, whose password Strimzi makes."""
    return [
        {
            "apiVersion": "kafka.strimzi.io/v1beta2",
            "kind": "KafkaUser",
            "metadata": {"name": users[process], "labels": {"strimzi.io/cluster": cluster}},
            "spec": {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {"type": "simple", "acls": [_acl(rules) for rules in of_process]},
            },
        }
        for process, of_process in _by_process(catalogue)
    ]


def _acl(rules: Sequence[Rule]) -> dict[str, Any]:
    first = rules[0]
    return {
        "resource": {"type": first.resource.value, "name": first.name, "patternType": "literal"},
        "operations": [rule.operation.value for rule in rules],
    }


def _by_resource(catalogue: Catalogue) -> list[tuple[tuple[str, Resource, str], list[Rule]]]:
    grouped = groupby(rules_of(catalogue), key=lambda rule: (rule.process, rule.resource, rule.name))
    return [(place, list(rules)) for place, rules in grouped]


def _by_process(catalogue: Catalogue) -> list[tuple[str, list[list[Rule]]]]:
    grouped = groupby(_by_resource(catalogue), key=lambda one: one[0][0])
    return [(process, [rules for _, rules in found]) for process, found in grouped]
