"""What a sealed box is bound to: a digest of all that is asked, the same of an event and of its tasks.

It is made of what a task carries, so that a sink computes it alone. What the control plane derives, a later
generation or a second sending, asks for the same and has the same digest.

Its form is for any language: each text as four bytes of length, big-endian, and UTF-8; each list as its
number of items, then the items; SHA-256 over all of it.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256

from olvido.core.instants import microseconds
from olvido.core.source import Source, ref_of, what_of
from olvido.core.tasks import RequestId, Task


def asked_digests(asked: Source | Task, *, header: bytes) -> Callable[[str], bytes]:
    """A function that gives the additional data of each region's box.

    Args:
        asked: a request, a consent change, or a task of one.
        header: of the session, as it is signed: with it principal, regions and wrapped keys are bound.
    """
    shared = sha256(b"olvido/2 asked\0" + _items((sha256(header).digest(), *_texts(asked))))

    def of_region(region: str) -> bytes:
        whole = shared.copy()
        whole.update(_items((region.encode(),)))
        return whole.digest()

    return of_region


def _items(items: tuple[bytes, ...]) -> bytes:
    return b"".join([len(item).to_bytes(4, "big") + item for item in items])


def _texts(asked: Source | Task) -> Iterator[bytes]:
    what, ref = (asked.what, asked.source) if isinstance(asked, Task) else (what_of(asked), ref_of(asked))
    purposes, decision, policy_version = what.particulars
    yield b"request" if isinstance(ref, RequestId) else b"consent"
    yield str(ref.id).encode()
    yield what.action.value.encode()
    yield str(microseconds(what.at)).encode()
    yield b"" if decision is None else decision.value.encode()
    yield policy_version.encode()
    yield asked.subject_id.encode()
    yield str(len(purposes)).encode()
    for purpose in purposes:
        yield purpose.encode()
    yield str(len(asked.handles)).encode()
    for handle in asked.handles:
        yield handle.kind.name.encode()
        yield handle.value.encode()
