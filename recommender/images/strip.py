"""What of an image file a decoder gets to see: that of which its picture is made, and no more.

Profiles, comments, thumbnails, animation and whatever lies behind the picture have no pixels of
ours, and yet decoders parse them: 32 MiB of comments in a GIF took Pillow 1.4 GB, as many fill bytes
in a JPEG 10 s. Here they are skipped, in steps that are counted. What is malformed is left for the
decoder to complain of, unless that would take too long.
"""

import re
from dataclasses import dataclass

from recommender.images.avif import Unreadable, coded_pixels
from recommender.images.orientation import UPRIGHT, read_orientation

MAX_CHUNKS = 200_000
"""Chunks, segments or blocks of one file. 32 MiB in the usual pieces are 4,096 of PNG, 131,600 of GIF."""

MAX_JPEG_HEADER_BYTES = 64 * 1024
"""Tables and frame header of a JPEG take about 1 KB, 20 KB at most."""

MAX_SCANS = 500
"""Scans of one JPEG. Progressive encoders write about ten."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_GIF_PART = re.compile(rb"[!,;]")
_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE


class Malformed(ValueError):
    """The container is not worth decoding; the message says why."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """A file that gives the same picture.

    Args:
        data: the file.
        orientation: that of its EXIF, where that was dropped.
        scans: how often decoding goes over all of its pixels.
        coded_pixels: what is decoded, where that may be more than the header says.
    """

    data: bytes
    orientation: int = UPRIGHT
    scans: int = 1
    coded_pixels: int = 0


def strip(data: bytes) -> Stripped:
    """Drop what makes no pixels from a JPEG, PNG or GIF; others are left as they are.

    Raises:
        Malformed: it is truncated before any pixel, or has too many pieces.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _strip_jpeg(data)
    if data.startswith(_PNG_SIGNATURE):
        return _strip_png(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _strip_gif(data)
    if data[4:8] == b"ftyp":
        return _measured_avif(data)
    return Stripped(data)


def _strip_jpeg(data: bytes) -> Stripped:
    """Keep tables and frame header, the JFIF and Adobe segments, which tell the colours, and all scans."""
    header, turned, at = bytearray(b"\xff\xd8"), UPRIGHT, 2
    for _ in range(MAX_CHUNKS):
        code, start, at = _next_segment(data, at)
        if code in (_SOI, _EOI):
            raise Malformed("it ends before its first scan")
        segment = data[start:at]
        if code == _SOS:
            end, scans = _scans(data, at)
            return Stripped(b"".join((header, b"\xff\xda", memoryview(data)[start:end])), turned, scans)
        if segment[2:8] == b"Exif\0\0" and code == 0xE1 and turned == UPRIGHT:
            turned = read_orientation(segment[2:])
        if _makes_pixels(code, segment):
            header += bytes((0xFF, code)) + segment
        if len(header) > MAX_JPEG_HEADER_BYTES:
            raise Malformed("its tables are larger than any image needs")
    raise Malformed(f"more than {MAX_CHUNKS} segments")


def _makes_pixels(code: int, segment: bytes) -> bool:
    if code == 0xE0:
        return segment[2:6] == b"JFIF"
    if code == 0xEE:
        return segment[2:7] == b"Adobe"
    return code != _COM and not 0xE0 <= code <= 0xEF


def _scans(data: bytes, at: int) -> tuple[int, int]:
    """Where the scans end that begin with the one whose pixels are at `at`, and how many they are."""
    scans = 1
    for _ in range(MAX_CHUNKS):
        try:
            code, _, at = _next_segment(data, at)
        except Malformed:
            return len(data), scans
        if code == _EOI:
            return at, scans
        scans += code == _SOS
        if scans > MAX_SCANS:
            raise Malformed(f"more than {MAX_SCANS} scans")
    raise Malformed(f"more than {MAX_CHUNKS} segments")


def _next_segment(data: bytes, at: int) -> tuple[int, int, int]:
    """The next marker (ISO/IEC 10918-1, B.1.1): its code, where its length stands, where it ends."""
    marker = _JPEG_MARKER.search(data, at)
    if marker is None:
        raise Malformed("truncated")
    code, start = data[marker.end() - 1], marker.end()
    if code < 0xC0 or code in (_SOI, _EOI):  # these stand alone
        return code, start, start
    length = int.from_bytes(data[start : start + 2])
    if length < 2 or start + length > len(data):
        raise Malformed("truncated")
    return code, start, start + length


def _strip_png(data: bytes) -> Stripped:
    """Keep the chunks of `_PNG_KEPT`; of an animation that leaves its default image."""
    view, at = memoryview(data), len(_PNG_SIGNATURE)
    kept, turned, seen = [view[:at]], UPRIGHT, set[bytes]()
    for _ in range(MAX_CHUNKS):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 12 + length
        if kind == b"eXIf":
            turned = read_orientation(data[at + 8 : end - 4])
        if kind == b"IDAT" or (kind in _PNG_KEPT and kind not in seen):
            kept.append(view[at:end])
            seen.add(kind)
        if kind == b"IEND" or end >= len(data):
            return Stripped(b"".join(kept), turned)
        at = end
    raise Malformed(f"more than {MAX_CHUNKS} chunks")


def _strip_gif(data: bytes) -> Stripped:
    """Keep the screen, the control of the first image, and all from that image on."""
    if len(data) < 13:
        raise Malformed("truncated")
    flags = data[10]
    screen = at = 13 + (6 << (flags & 7) if flags & 0x80 else 0)
    control, blocks = b"", 0
    while (found := _GIF_PART.search(data, at)) and found[0] == b"!":
        at = found.end() + 1
        while size := int.from_bytes(data[at : at + 1]):
            at += 1 + size
            blocks += 1
            if blocks > MAX_CHUNKS:
                raise Malformed(f"more than {MAX_CHUNKS} blocks before its first image")
        at += 1
        if data[found.end() : found.end() + 1] == b"\xf9":
            control = _without_disposal(data[found.start() : at])
    if found is None or found[0] == b";":
        raise Malformed("it holds no image")
    view = memoryview(data)
    return Stripped(b"".join((view[:screen], control, view[found.start() :])))


def _without_disposal(control: bytes) -> bytes:
    """Leave out how to clear the image later: for that, Pillow fills a frame at once, up to 4 GB."""
    return control[:3] + bytes(flags & 1 for flags in control[3:4]) + control[4:]


def _measured_avif(data: bytes) -> Stripped:
    """As it is, but a sequence passes for a still: its first frame, which is an item, and not a track."""
    if data[8:12] == b"avis":
        data = b"".join((data[:8], b"avif", memoryview(data)[12:]))
    try:
        return Stripped(data, coded_pixels=coded_pixels(data))
    except Unreadable as error:
        raise Malformed(str(error)) from error
