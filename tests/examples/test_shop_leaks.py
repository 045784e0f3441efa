"""The scan for people in bytes finds every spelling it claims to find, and finds nobody in noise."""

import random
import struct
from pathlib import Path

import cramjam
import pytest

from shop.leaks import Scanner, patterns_of
from shop.people import make_people
from shop.segments import segment_bytes

SOMEBODY, OTHER = make_people(3, 2)
NOISE = random.Random(3).randbytes(300_000)


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(patterns_of([SOMEBODY, OTHER]))


def test_nobody_is_found_in_noise(scanner: Scanner) -> None:
    assert scanner.scan(NOISE, where="noise") == []


def test_every_spelling_is_found_wherever_it_stands(scanner: Scanner) -> None:
    chance = random.Random(4)
    for pattern, what in patterns_of([SOMEBODY]).items():
        if len(pattern) < 8:
            continue
        at = chance.randrange(1000)
        data = NOISE[:at] + pattern + NOISE[at : at + 500]
        assert what in {leak.what for leak in scanner.scan(data, where="here")}, what


def test_an_identity_inside_longer_base64_is_found(scanner: Scanner) -> None:
    import base64

    for before in (b"", b"a", b"ab", b"abc"):
        data = base64.b64encode(before + SOMEBODY.email.encode() + b"tail")
        assert scanner.scan(data, where="here"), before


def test_a_leak_across_two_chunks_is_found(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop.leaks.CHUNK_BYTES", 1024)
    data = NOISE[:1015] + SOMEBODY.email.encode() + NOISE[:2000]
    (leak, *_) = scanner.scan(data, where="here")
    assert leak.offset == 1015


def test_a_leak_does_not_repeat_the_identity(scanner: Scanner) -> None:
    (leak, *_) = scanner.scan(SOMEBODY.customer_id.encode(), where="a.log")
    assert SOMEBODY.customer_id not in repr(leak)


@pytest.mark.parametrize(
    ("codec", "pack"),
    [
        (0, bytes),
        (1, cramjam.gzip.compress),
        (2, cramjam.snappy.compress_raw),
        (3, cramjam.lz4.compress),
        (4, cramjam.zstd.compress),
    ],
)
def test_what_is_packed_in_a_segment_is_read(tmp_path: Path, scanner: Scanner, codec: int, pack) -> None:
    """Compression would hide a name from a search over raw bytes."""
    records = bytes(pack(b"x" * 100 + SOMEBODY.email.encode() + b"x" * 100))
    header = struct.pack(">qiibIh", 0, 49 + len(records), 0, 2, 0, codec).ljust(61, b"\0")
    folder = tmp_path / "topic-0"
    folder.mkdir()
    (folder / "00000000000000000000.log").write_bytes(header + records)
    leaks = [leak for where, data in segment_bytes(tmp_path) for leak in scanner.scan(data, where=where)]
    assert any(leak.what.startswith("email") for leak in leaks)


def test_a_batch_in_an_unknown_packing_is_not_passed_over(tmp_path: Path) -> None:
    header = struct.pack(">qiibIh", 0, 49 + 10, 0, 2, 0, 7).ljust(61, b"\0")
    (tmp_path / "0.log").write_bytes(header + b"x" * 10)
    with pytest.raises(ValueError, match="codec 7"):
        list(segment_bytes(tmp_path))
