"""What must not be read in a log line or a bundle: addresses of people, passwords, tokens.

The last line of defence, not the first: Olvido's own messages name nobody. What a library or a
driver says of its own accord may.
"""

import re

# Each keeps what helps (a user, a host, the name of a setting) and takes what names a person or opens a door.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # postgresql://user:password@host, whatever the scheme; a password may hold an @ that nobody escaped.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,30}://[^\s:/@]{0,64}:)[^\s/]{1,200}@", re.I), r"\1[password]@"),
    # password=…, "token": "…", sasl.password = '…', api_key=…
    (
        re.compile(
            r"(\b[\w.-]{0,40}(?:password|passwd|secret|token|api[_-]?key|credential)s?[\"']?\s{0,3}[=:]\s{0,3})"
            r"(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&\"')\]}]+)",
            re.I,
        ),
        r"\1[secret]",
    ),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.I), r"\1 [secret]"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), "[token]"),  # a JSON web token
    # RFC 6531 as well: letters of every script on both sides.
    (re.compile(r"[^\s@<>\"'(),;:\[\]{}=|\\/]{1,64}@[^\s@<>\"'(),;:\[\]{}=|\\/]+\.[^\W\d_]{2,}"), "[e-mail]"),
    # A phone number is written with a plus or in groups; a bare run of digits is a count, an offset, a port.
    (re.compile(r"(?<![\w+.])\+\d[\d ().-]{6,18}\d(?!\w)"), "[phone]"),
    (re.compile(r"(?<![\w.:+-])\(?\d{2,4}\)?[ -]\d{3,4}[ -]\d{3,4}(?![\w.:-])"), "[phone]"),
)


def redacted(text: str) -> str:
    """A text without e-mail addresses, phone numbers, passwords and tokens.

    What stands in their place says what it was. Ids, handles, instants and offsets stay. A repeat changes
    nothing.
    """
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text
