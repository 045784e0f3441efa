"""The login that processes and operators work with: it owns nothing of the ledger, and changes no act."""

from importlib.resources import files

WRITER = "olvido_ledger"


def grants(role: str = WRITER) -> str:
    """The statements by which the ledger's owner makes such a login."""
    text = (files("olvido.ledger") / "writer.sql").read_text(encoding="utf-8")
    quoted = '"' + role.replace('"', '""') + '"'
    return text.replace("{role}", quoted).replace("{name}", quoted)
