"""How many pixels an AVIF's coded pictures really have: its header can say less.

The decoder believes the AV1 sequence header of each coded item (the picture, its alpha plane, the
tiles of a grid), and scales what comes out to the size that the container says: 3 KB that claimed
64 x 64 pixels took 500 MB. Boxes are those of ISO/IEC 14496-12, bits those of the AV1 specification.
"""

from collections.abc import Iterator

MAX_PIECES = 4096
"""Boxes, items, or pieces of one item: picture, alpha and metadata, or the tiles of a grid."""

_SEQUENCE_HEADER = 1
_SEQUENCE_HEADER_BYTES = 1024  # more than its longest form takes up to the sizes


class Unreadable(ValueError):
    """The boxes or headers make no sense; the message says which."""


def coded_pixels(data: bytes) -> int:
    """The pixels of all AV1 items of an AVIF file, taken together.

    Raises:
        Unreadable: the container or a sequence header can't be followed.
    """
    view, total = memoryview(data), 0
    for kind, start, end in _boxes(view, 0, len(view)):
        if kind == b"meta":
            total += sum(_largest_frame(item) for item in _av1_items(view, start + 4, end))
    return total


def _boxes(data: memoryview, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what each box holds (14496-12, 4.2)."""
    for _ in range(MAX_PIECES):
        if at + 8 > end:
            return
        size, kind, start = _number(data, at, 4), bytes(data[at + 4 : at + 8]), at + 8
        if size == 1:
            size, start = _number(data, at + 8, 8), at + 16
        stop = at + size if size else end
        if not start <= stop <= end:
            raise Unreadable(f"its box {kind!r} is longer than the file")
        yield kind, start, stop
        at = stop
    raise Unreadable(f"more than {MAX_PIECES} boxes")


def _av1_items(data: memoryview, start: int, end: int) -> Iterator[bytes]:
    """What each AV1 item of a meta box holds."""
    inside = {kind: (a, b) for kind, a, b in _boxes(data, start, end)}
    if not {b"iinf", b"iloc"} <= inside.keys():
        raise Unreadable("it lists no items")
    first, last = inside[b"iinf"]
    coded = set[int]()
    for kind, at, _ in _boxes(data, first + (8 if _number(data, first, 1) else 6), last):
        wide = 4 if _number(data, at, 1) > 2 else 2  # of the item's number (14496-12, 8.11.6)
        if kind == b"infe" and bytes(data[at + 6 + wide : at + 10 + wide]) == b"av01":
            coded.add(_number(data, at + 4, wide))
    idat, read = inside.get(b"idat", (0, 0))[0], 0
    for number, in_idat, extents in _locations(data[slice(*inside[b"iloc"])]):
        read += sum(length for _, length in extents)
        if read > 2 * len(data):
            raise Unreadable("its items are longer than the file")
        if number in coded:
            base = idat if in_idat else 0
            yield b"".join(
                data[base + at : base + at + length if length else len(data)] for at, length in extents
            )


def _locations(box: memoryview) -> Iterator[tuple[int, bool, list[tuple[int, int]]]]:
    """Number of each item, whether it lies in `idat`, offset and length of its parts (14496-12, 8.11.3)."""
    bits = _Bits(box)
    version = bits.take(8)
    bits.take(24)
    offset_bits, length_bits, base_bits, index_bits = (8 * bits.take(4) for _ in range(4))
    wide = 32 if version == 2 else 16
    if version > 2 or (items := bits.take(wide)) > MAX_PIECES:
        raise Unreadable(f"more than {MAX_PIECES} items, or an unknown version")
    for _ in range(items):
        number, method = bits.take(wide), bits.take(16) if version else 0
        bits.take(16)
        base, parts = bits.take(base_bits), bits.take(16)
        if method > 1 or parts > MAX_PIECES:
            raise Unreadable("an item is made of other items, or of too many pieces")
        extents = []
        for _ in range(parts):
            bits.take(index_bits if version else 0)
            extents.append((base + bits.take(offset_bits), bits.take(length_bits)))
        yield number, bool(method), extents


def _largest_frame(item: bytes) -> int:
    """The pixels of the largest frame that the sequence headers of an item allow (AV1, 5.3)."""
    largest, at = 0, 0
    for _ in range(MAX_PIECES):
        if at >= len(item):
            return largest
        unit = item[at]
        kind, start = unit >> 3 & 15, at + (2 if unit & 4 else 1)
        end = len(item)
        if unit & 2:
            size, start = _leb128(item, start)
            end = start + size
        if kind == _SEQUENCE_HEADER:
            largest = max(largest, _frame_pixels(_Bits(item[start : start + _SEQUENCE_HEADER_BYTES])))
        at = end
    raise Unreadable(f"more than {MAX_PIECES} units in one item")


def _frame_pixels(bits: "_Bits") -> int:
    """Width x height of a sequence header (AV1, 5.5.1)."""
    bits.take(4)
    reduced = bits.take(1)
    if reduced:
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    if not reduced:  # a frame may say another size, in so many bits
        return 1 << width_bits + height_bits
    return (bits.take(width_bits) + 1) * (bits.take(height_bits) + 1)


def _skip_operating_points(bits: "_Bits") -> None:
    delay_bits = 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):
            zeros = 0
            while not bits.take(1):
                zeros += 1
            bits.take(zeros)
        if bits.take(1):  # decoder model
            delay_bits = bits.take(5) + 1
            bits.take(42)
    shows_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if shows_delay and bits.take(1):
            bits.take(4)


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, and where it ends (AV1, 4.10.5)."""
    value = 0
    for n in range(8):
        byte = _number(data, at + n, 1)
        value |= (byte & 127) << 7 * n
        if byte < 128:
            return value, at + n + 1
    raise Unreadable("a length of more than eight bytes")


def _number(data: bytes | memoryview, at: int, size: int) -> int:
    if at + size > len(data):
        raise Unreadable("truncated")
    return int.from_bytes(data[at : at + size])


class _Bits:
    """Numbers of any number of bits, the highest first."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, bits: int) -> int:
        first, self._at = self._at, self._at + bits
        end = (self._at + 7) // 8
        number = _number(self._data, first // 8, end - first // 8)
        return number >> 8 * end - self._at & (1 << bits) - 1
