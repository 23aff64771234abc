"""Valid bytes made invalid, as bad disks, bad proxies and bad people would."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence

_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_PNG = b"\x89PNG\r\n\x1a\n"


def mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """One to four mutations of `data`; a splice takes its other half from `others`."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice(_MUTATIONS)(data, others, rng)
    if data.startswith(_PNG) and rng.random() < 0.8:
        return _with_checksums(data)  # or nearly every PNG would end at its first checksum
    return data


def _flip_bits(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _n in range(rng.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _randomise(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    at, size = rng.randrange(len(data) + 1), rng.randrange(1, 64)
    return data[:at] + rng.randbytes(size) + data[at + size :]


def _truncate(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _splice(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _duplicate(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    first, last = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    return data[:last] + data[first:last] * rng.choice((1, 1, 2, 50)) + data[last:]


def _remove(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randrange(1, 32) :]


def _tamper_with_a_number(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    """A length, a size, an offset: sooner or later it hits one."""
    width = rng.choice((1, 2, 4))
    at = rng.randrange(min(len(data), rng.choice((64, 512, 1 << 20))) + 1)
    value = rng.choice(_EDGES) & (1 << 8 * width) - 1
    return data[:at] + value.to_bytes(width, rng.choice(("big", "little"))) + data[at + width :]


def _only_the_beginning_is_right(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    return data[: rng.randrange(3, 64)] + rng.randbytes(rng.randrange(256))


_MUTATIONS: tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], ...] = (
    _flip_bits,
    _flip_bits,
    _randomise,
    _truncate,
    _splice,
    _duplicate,
    _remove,
    _tamper_with_a_number,
    _tamper_with_a_number,
    _only_the_beginning_is_right,
)


def _with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks, as far as they can be followed, have the right checksums."""
    parts, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        end = at + 8 + size
        if end + 4 > len(data):
            break
        parts += [data[at:end], struct.pack(">I", zlib.crc32(data[at + 4 : end]))]
        at = end + 4
    return b"".join((*parts, data[at:]))
