"""What a person is asked about a data map that is proposed: each a sentence, with what to write.

Pure.
"""

from collections.abc import Iterator, Mapping, Sequence

from olvido.core.subject import IdentityKind
from olvido.sinks.discovery.column_names import of_consent
from olvido.sinks.discovery.evidence import SeenTable, personal_columns
from olvido.sinks.discovery.kinship import IDENTITIES, Kinship
from olvido.sinks.discovery.links import Link
from olvido.sinks.discovery.live import Family


def of_the_key(column: str) -> str:
    """About a primary key that is taken for the customer's number."""
    return (
        f"is {column} what other systems know the person by? If not, take customer_id out of identities, and "
        "person with it"
    )


def of_identities(
    one: SeenTable, identities: Mapping[IdentityKind, str], parent: Link | None
) -> Iterator[str]:
    """About a person's row that names nobody, further columns of a kind, and forms."""
    if set(identities) <= {IdentityKind.CUSTOMER_ID} and parent is None:
        yield f"{one.table.name} has no e-mail address or phone number of its own: a table below it may have"
    for kind, column in identities.items():
        for name in personal_columns(one, [IDENTITIES[kind]]):
            if name != column and not one.evidence[name].doubtful:
                yield (
                    f"{name} holds {IDENTITIES[kind].value} as well. If they are the same person's: "
                    f'{kind.value} = ["{column}", "{name}"]'
                )
        forms = one.evidence[column].forms if column in one.evidence else ()
        if len(forms) > 1:
            yield (
                f"{column} holds numbers without a country, and they are searched only if you say which: "
                f'{kind.value} = {{ column = "{column}", form = "{forms[0]}" }}, or {", ".join(forms[1:])}'
            )
    for name, evidence in one.evidence.items():
        if evidence.doubtful and evidence.forms:
            [form] = evidence.forms
            yield (
                f"{name} is written like {form}. If it is the digest of the normalised value, it can be "
                f'searched: {{ column = "{name}", form = "{form}" }}'
            )


def of_climbing(parent: Link, columns: Sequence[str]) -> str:
    """About addresses in a table of their own."""
    return (
        f"climb: whoever gives what stands in {' or '.join(columns)} is the person of {parent.to}. Is each "
        "row their own address, and nobody else's?"
    )


def of_an_address_below(parent: Link, identities: Mapping[IdentityKind, str]) -> list[str]:
    """About an address beside a parent that has one itself."""
    return [
        f"{column} holds {IDENTITIES[kind].value}: of the person of {parent.to}, or of somebody else? "
        f'It is searched only with identities = {{ {kind.value} = "{column}" }}, and leads to {parent.to} '
        "only with climb = true in parent"
        for kind, column in identities.items()
    ]


def of_a_mention(link: Link) -> str:
    """About a column that is emptied when the row it points at goes."""
    return (
        f"{link.column} points at {link.to} ({_said_by(link)}): it becomes null, and the row stays. If such "
        "a row is that person's, make it another parent instead"
    )


def of_another_pointer(link: Link) -> str:
    """About columns that point at a person's row, beside the parent, and cannot be emptied."""
    columns = ", ".join(f'"{column}"' for column in link.columns)
    shown = columns if len(link.columns) == 1 else f"[{columns}]"
    return (
        f"{link.column} points at {link.to} as well ({_said_by(link)}), and cannot be null. Whose is the "
        f'row? Another parent: {{ table = "{link.to}", column = {shown} }}; or a mention with '
        f"set = the key of a row in {link.to} that is nobody"
    )


def of_shared(name: str, kin: Kinship, links: Sequence[Link]) -> Iterator[str]:
    """About rows that several point at, and that others point at from outside of the map."""
    outside = [
        f"{link.table}.{link.column}"
        for link in links
        if link.to == name != link.table and link.table not in kin.tables
    ]
    if outside:
        points = "points" if len(outside) == 1 else "point"
        yield (
            f"{', '.join(outside)} {points} at it as well, and not in the map. If each row of {name} is one "
            "person's, it is the person's table itself, and these hang on it"
        )


def of_trade(parent: Link | None) -> list[str]:
    """About accounts of trade."""
    asked = [
        'looks like accounts of trade, which a law may want kept: "retain" with its ground, or "delete"?'
    ]
    if parent is not None and parent.not_null:
        asked.append(
            f"to retain these while their row in {parent.to} is deleted, {parent.column} would have to "
            f"become null, and refuses it: let it be null, or write unlink = the key of a row in {parent.to} "
            f"that is nobody, or anonymise {parent.to} instead of deleting it"
        )
    return asked


def of_consents(one: SeenTable, identities: Mapping[IdentityKind, str]) -> list[str]:
    """About columns that look like consents."""
    if not identities:
        return []
    return [
        f"{column.name} looks like a consent: for which purpose? See docs/sinks, consent"
        for column in one.table.columns
        if column.family in {Family.BOOLEAN, Family.NUMBER} and of_consent(column.name)
    ]


def of_a_pair(kind: str, key: str, links: Sequence[Link]) -> str:
    """About rows whose parent two columns name, a type and an id."""
    said = f"{kind}, {key}: what a row belongs to is said by a type and an id"
    parents = [
        f'{{ table = "{link.to}", column = "{key}", where = {{ {kind} = "{link.where[kind]}" }} }}'
        for link in links
    ]
    return f"{said}. If such rows are the person's: parent = {', '.join(parents)}" if parents else said


def _said_by(link: Link) -> str:
    return f"a foreign key, {link.on_delete}" if link.written else link.evidence
