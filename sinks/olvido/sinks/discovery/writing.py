"""Write a proposal as TOML, with the evidence as comments. No value of a row is in it."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from olvido.core.subject import IdentityKind
from olvido.sinks.discovery.column_names import Personal
from olvido.sinks.discovery.evidence import SeenTable
from olvido.sinks.discovery.kinship import IDENTITIES
from olvido.sinks.discovery.live import Family
from olvido.sinks.discovery.proposal import Proposal, ProposedTable

WIDTH = 79
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# The label of what a column holds; a secret has none. See olvido.sinks.tables.labels.
_LABELS: Mapping[Personal, str] = {
    Personal.IP: "user.device.ip_address",
    Personal.EMAIL: "user.contact.email",
    Personal.PHONE: "user.contact.phone_number",
    Personal.NATIONAL_ID: "user.government_id",
    Personal.PAYMENT: "user.financial",
    Personal.BIRTH: "user.demographic.date_of_birth",
    Personal.GENDER: "user.demographic.gender",
    Personal.DEVICE: "user.device.device_id",
    Personal.COOKIE: "user.device.cookie_id",
    Personal.CUSTOMER: "user.unique_id",
    Personal.LOGIN: "user.account.username",
    Personal.NAME: "user.name",
    Personal.ADDRESS: "user.contact.address",
    Personal.LOCATION: "user.location",
    Personal.TEXT: "user.content",
}


def toml_of(proposal: Proposal, *, declared: Sequence[IdentityKind], rows: int) -> str:
    """The proposal as text to append to olvido.toml.

    Args:
        proposal: what was found.
        declared: the kinds of identity that the sink's section has now.
        rows: how many rows of each table were read at most.
    """
    lines = [*_head(proposal, declared, rows)]
    for table in proposal.tables:
        lines += ["", *_table(proposal.sink, table)]
    if proposal.unlinked:
        lines += [
            "",
            *_comment("Not in the map. These look personal, and nothing says whose their rows are:"),
        ]
        for one in proposal.unlinked:
            lines += [*_comment(one.table.name, 2), *_evidence(one, 4)]
            for line in proposal.typed.get(one.table.name, ()):
                lines += _comment(line, 4)
    for name in sorted(proposal.typed.keys() & set(proposal.others)):
        lines += ["", *_comment(f"Not in the map: {name}")]
        for line in proposal.typed[name]:
            lines += _comment(line, 2)
    if proposal.others:
        text = "Not in the map. Nothing in them looks personal, and nothing links them to a person: "
        lines += ["", *_comment(text + ", ".join(proposal.others))]
    return "\n".join(lines) + "\n"


def _head(proposal: Proposal, declared: Sequence[IdentityKind], rows: int) -> Iterator[str]:
    looked = f"at most {rows} rows of each table were read" if rows else "no row was read"
    yield from _comment(
        f"A proposal for sinks.{proposal.sink}, made from the target's catalogue; {looked}. "
        "Read every line before you keep it: a name is a hint, and a sample is not all."
    )
    if proposal.kinds and set(proposal.kinds) != set(declared):
        listed = ", ".join(json.dumps(kind.value) for kind in proposal.kinds)
        yield from _comment(
            f"In [sinks.{proposal.sink}], this map can be searched by: identities = [{listed}]"
        )
    if proposal.undecided:
        yield from _comment(
            f"You must decide about {', '.join(proposal.undecided)}: until then the map is refused."
        )
    if not proposal.tables:
        yield from _comment("No table was found whose rows are people.")


def _table(sink: str, table: ProposedTable) -> Iterator[str]:
    rows = table.seen.table.rows
    yield from _comment(f"--- {table.name}" + (f", about {rows:,} rows" if rows else ""))
    yield from _evidence(table.seen, 2)
    yield f"[sinks.{_key(sink)}.tables.{_key(table.name)}]"
    if table.key:
        yield f"key = {_strings(table.key)}"
    if table.person:
        yield f"person = {_string(table.person)}"
    if table.created:
        yield f"created = {_created(table)}"
    if table.identities:
        named = [f"{kind.value} = {_identity(table, kind)}" for kind in table.identities]
        together = f"identities = {{ {', '.join(named)} }}"
        yield from [together] if len(together) <= WIDTH else [f"identities.{one}" for one in named]
    climb = ["climb = true"] if table.climbs else []
    parents = [_reference(one.to, one.columns, *climb) for one in table.parents]
    if parents:
        yield from [f"parent = {parents[0]}"] if len(parents) == 1 else _list("parent", parents)
    for key, links in (("shared_by", [(one.table, one.columns) for one in table.shared_by]),
                       ("mentions", [(one.to, one.columns) for one in table.mentions])):  # fmt: skip
        if links:
            yield from _list(key, [_reference(name, columns) for name, columns in links])
    yield from _labels(table)
    yield from _erase(table)
    for question in table.questions:
        yield from _comment(f"? {question}")


def _labels(table: ProposedTable) -> Iterator[str]:
    """The labels of a table whose rows are one person's each, and everywhere what is secret.

    What a row of several people holds may be about any of them, so it gets no label; nor does a column that
    is called so and is not written so.
    """
    for column, evidence in table.seen.evidence.items():
        if evidence.personal is Personal.SECRET:
            yield f"columns.{_key(column)} = {{ secret = true }}"
        elif table.of_one and not evidence.doubtful:
            yield f"columns.{_key(column)} = {_string(_LABELS[evidence.personal])}"


def _erase(table: ProposedTable) -> Iterator[str]:
    match table.erase:
        case "delete":
            yield 'erase = "delete"'
        case "":
            yield '# erase = "delete"'
            yield '# erase = "retain"'
            yield '# ground = "which law, for how long"'
            if table.parents:
                yield "# unlink = true"


def _created(table: ProposedTable) -> str:
    """A day without a time is another clock."""
    assert table.created is not None
    if table.seen.table.by_name[table.created].family is Family.DATE:
        return f'{{ column = {_string(table.created)}, clock = "date" }}'
    return _string(table.created)


def _identity(table: ProposedTable, kind: IdentityKind) -> str:
    """A column, with the form in which it holds this kind where only one is possible."""
    column = table.identities[kind]
    evidence = table.seen.evidence.get(column)
    if evidence is None or evidence.personal is not IDENTITIES[kind] or len(evidence.forms) != 1:
        return _string(column)
    return f"{{ column = {_string(column)}, form = {_string(evidence.forms[0])} }}"


def _reference(table: str, columns: Sequence[str], *more: str) -> str:
    return f"{{ {', '.join([f'table = {_string(table)}', f'column = {_strings(columns)}', *more])} }}"


def _list(key: str, values: Sequence[str]) -> list[str]:
    """A list on one line, or one value a line where that is too long."""
    together = f"{key} = [{', '.join(values)}]"
    return [together] if len(together) <= WIDTH else [f"{key} = [", *(f"  {one}," for one in values), "]"]


def _evidence(seen: SeenTable, indent: int) -> Iterator[str]:
    if seen.why_not:
        yield from _comment(f"only names were looked at: {seen.why_not}", indent)
    room = max((len(name) for name in seen.evidence), default=0)
    for name, evidence in seen.evidence.items():
        yield from _comment(f"{name.ljust(room)}  {evidence.text}", indent)


def _comment(text: str, indent: int = 0) -> list[str]:
    """A text as comment lines. What a table is called may hold anything, a line break included."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    begin = "# " + " " * indent
    return textwrap.wrap(
        printable,
        WIDTH,
        initial_indent=begin,
        subsequent_indent=begin + "  ",
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [begin.rstrip()]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _strings(names: Sequence[str]) -> str:
    return _string(names[0]) if len(names) == 1 else f"[{', '.join(map(_string, names))}]"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
