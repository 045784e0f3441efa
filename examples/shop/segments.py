"""Kafka's log segments, byte by byte: each file as it lies on the disk, and what is packed in its batches.

Batches may be compressed, and nobody would find a name in those. So each is unpacked here, from the file
itself: what is deleted, compacted away or not yet visible to a consumer is in there as well.
Format: https://kafka.apache.org/documentation/#recordbatch
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import cramjam

_HEADER = struct.Struct(">qiibIh")  # base offset, length, leader epoch, magic, CRC, attributes
_RECORDS_AT = 61
_LENGTH_COUNTS_FROM = 12
_CODEC_BITS = 0b111
# Offsets and instants alone, and ten megabytes of holes each.
_NUMBERS_ONLY = frozenset({".index", ".timeindex"})


def _gzip(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=zlib.MAX_WBITS | 16)


def _snappy(data: bytes) -> bytes:
    """Java writes blocks with a header of its own (xerial), librdkafka one raw block."""
    if not data.startswith(b"\x82SNAPPY\0"):
        return bytes(cramjam.snappy.decompress_raw(data))
    blocks, place = [], 16
    while place < len(data):
        (length,) = struct.unpack_from(">i", data, place)
        blocks.append(bytes(cramjam.snappy.decompress_raw(data[place + 4 : place + 4 + length])))
        place += 4 + length
    return b"".join(blocks)


_UNPACK: Mapping[int, Callable[[bytes], bytes]] = {
    1: _gzip,
    2: _snappy,
    3: lambda data: bytes(cramjam.lz4.decompress(data)),
    4: lambda data: bytes(cramjam.zstd.decompress(data)),
}


def segment_bytes(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file under Kafka's data folder, raw; and what its compressed batches hold, unpacked.

    Raises:
        ValueError: a batch is packed in a way that is not known here, so nothing can be said of it.
    """
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in _NUMBERS_ONLY:
            continue
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # a segment that Kafka deleted just now
        where = str(path.relative_to(folder))
        yield where, data
        if path.suffix == ".log":
            unpacked = b"\0".join(_unpacked(data, where))
            if unpacked:
                yield f"{where}, unpacked", unpacked


def _unpacked(data: bytes, where: str) -> Iterator[bytes]:
    place = 0
    while place + _RECORDS_AT <= len(data):
        _, length, _, magic, _, attributes = _HEADER.unpack_from(data, place)
        end = place + _LENGTH_COUNTS_FROM + length
        if length <= 0 or end > len(data):
            return  # the batch that is being written just now, or room that Kafka set aside
        if magic != 2:
            raise ValueError(f"{where}: a batch of format {magic} at {place}")
        codec = attributes & _CODEC_BITS
        if codec:
            if codec not in _UNPACK:
                raise ValueError(f"{where}: a batch packed by codec {codec} at {place}")
            yield _UNPACK[codec](data[place + _RECORDS_AT : end])
        place = end
