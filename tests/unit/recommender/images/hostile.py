"""Image files made to hurt, and a process of its own in which each is read."""

import multiprocessing
import resource
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from multiprocessing.connection import Connection
from typing import Any

from PIL import Image

from recommender.encoders.preprocess import to_input
from recommender.encoders.registry import REGISTRY
from recommender.errors import ImageError
from recommender.images.decode import decoded

LIMIT_S = 10
MAX_PIXELS = 16_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Ending:
    """`outcome` is "pixels" or the name of the error; `peak_bytes` what reading it took beyond the file."""

    outcome: str
    said: str
    peak_bytes: int


def read(data: bytes) -> Ending:
    """Decode and resize in a fresh process, which is killed after `LIMIT_S`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["recommender.encoders.registry", "recommender.images.decode"])
    ours, theirs = context.Pipe()
    process = context.Process(target=_read, args=(theirs,))
    process.start()
    theirs.close()
    try:
        assert ours.recv() == "ready"
        ours.send_bytes(data)
        if not ours.poll(LIMIT_S):
            return Ending("hung", f"more than {LIMIT_S} s", 0)
        ending: Ending = ours.recv()
    except EOFError:
        process.join()
        return Ending("died", f"exit code {process.exitcode}", 0)
    else:
        return ending
    finally:
        process.kill()
        process.join()
        ours.close()


def _read(pipe: Connection) -> None:
    p = REGISTRY["compact"].preprocessing
    with decoded(saved(Image.new("RGB", (8, 8)), "PNG"), name="warm", max_pixels=64) as pixels:
        to_input(pixels, p)
    pipe.send("ready")
    data = pipe.recv_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome, said = "pixels", ""
    try:
        with decoded(data, name="hostile", max_pixels=MAX_PIXELS) as pixels:
            assert tuple(to_input(pixels, p).shape) == (3, p.input_px, p.input_px)
            said = f"{pixels.shape[2]} x {pixels.shape[1]}"
    except ImageError as error:
        outcome, said = type(error).__name__, str(error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    pipe.send(Ending(outcome, said, peak * 1024))


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def flat(file_format: str, width: int, height: int) -> bytes:
    """As many pixels as one likes in a few bytes."""
    options: dict[str, Any] = {"AVIF": {"speed": 10}, "WEBP": {"method": 0}, "PNG": {"compress_level": 9}}
    return saved(
        Image.new("RGB", (width, height), (200, 30, 30)), file_format, **options.get(file_format, {})
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 0, interlaced: int = 0
) -> bytes:
    """A PNG of these chunks (ISO/IEC 15948)."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    return _PNG + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def zeros(size: int) -> bytes:
    """So many bytes, deflated to a thousandth."""
    packer, piece = zlib.compressobj(9), bytes(2**20)
    parts = [packer.compress(piece[: min(size - at, 2**20)]) for at in range(0, size, 2**20)]
    return b"".join((*parts, packer.flush()))


def segment(code: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(data) + 2) + data


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def without_segment(jpeg: bytes, code: int) -> bytes:
    at = jpeg.index(bytes((0xFF, code)))
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4]) :]


def claiming(file_format: str, width: int, height: int) -> bytes:
    """A small file whose header says another size."""
    small = flat(file_format, 64, 48)
    match file_format:
        case "JPEG":
            at = small.index(b"\xff\xc0") + 5
            return small[:at] + struct.pack(">HH", height, width) + small[at + 4 :]
        case "PNG":
            return png(width, height, chunk(b"IDAT", zeros(64 * 48)))
        case "GIF":
            size = struct.pack("<HH", width, height)
            at = small.index(b",\0\0\0\0") + 5
            return small[:6] + size + small[10:at] + size + small[at + 4 :]
        case "WEBP":
            return small[:26] + struct.pack("<HH", width & 0x3FFF, height & 0x3FFF) + small[30:]
        case _:
            return small.replace(struct.pack(">II", 64, 48), struct.pack(">II", width, height))


def with_exif(file_format: str, size: int) -> bytes:
    exif = Image.Exif()
    exif[0x9286] = bytes(size)  # what the photographer has to say
    return saved(Image.new("RGB", (8, 8)), file_format, exif=exif)


def repeated_scans(width: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan, of a few bytes, comes again and again."""
    jpeg = saved(Image.new("L", (width, width), 128), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * (scans - jpeg.count(b"\xff\xda") + 1) + jpeg[-2:]


def gif_with_comment(blocks: int) -> bytes:
    gif = saved(Image.new("P", (8, 8)), "GIF")
    at = 13 + (6 << (gif[10] & 7) if gif[10] & 0x80 else 0)
    return gif[:at] + b"!\xfe" + b"\1a" * blocks + b"\0" + gif[at:]


def gif_with_disposal(method: int) -> bytes:
    """Its frame is larger than its screen, and what is to become of that later is said before it."""
    gif = claiming("GIF", 65_535, 65_535)
    at = gif.index(b",\0\0\0\0")
    return gif[:at] + bytes((0x21, 0xF9, 4, method << 2 | 1, 0, 0, 0, 0)) + gif[at:]


def lying_avif(side: int) -> bytes:
    """Its container says 64 x 64, the picture in it has `side` x `side`."""
    return flat("AVIF", side, side).replace(struct.pack(">II", side, side), struct.pack(">II", 64, 64))


_DOT = flat("JPEG", 8, 8)
_TABLE = segment(0xDB, b"\0" + bytes(range(1, 65)))
_MANY = 32 * 2**20  # the largest file that is fetched

# What each must end as, and its bytes.
CASES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nothing": ("ImageNotDecodable", lambda: b""),
    "zeros": ("ImageNotDecodable", lambda: bytes(_MANY)),
    "fill bytes of a JPEG": ("ImageNotDecodable", lambda: b"\xff\xd8" + b"\xff" * _MANY),
    "zeros in a JPEG": ("ImageNotDecodable", lambda: _DOT[:20] + bytes(_MANY)),
    "comments of a JPEG": ("ImageNotDecodable", lambda: with_segments(_DOT, b"\xff\xfe\0\2" * (_MANY // 4))),
    "tables of a JPEG": ("ImageNotDecodable", lambda: with_segments(_DOT, _TABLE * (_MANY // len(_TABLE)))),
    "scans of a JPEG": ("ImageNotDecodable", lambda: repeated_scans(64, 100_000)),
    "scans of a large JPEG": ("ImageNotDecodable", lambda: repeated_scans(4000, 200)),
    "as many scans as may be": ("pixels", lambda: repeated_scans(4000, 125)),
    "restarts of a JPEG": ("pixels", lambda: _DOT[:-2] + b"\xff\xd0" * (_MANY // 2) + b"\xff\xdc"),
    "unknown chunks of a PNG": ("ImageNotDecodable", lambda: png(8, 8, chunk(b"abCd", b"") * (_MANY // 12))),
    "empty data of a PNG": (
        "ImageNotDecodable",
        lambda: png(8, 8, chunk(b"IDAT", b"") * (_MANY // 12), chunk(b"IDAT", zeros(72))),
    ),
    "more data than a PNG has pixels": ("pixels", lambda: png(8, 8, chunk(b"IDAT", zeros(10**8)))),
    "compressed text": (
        "pixels",
        lambda: png(8, 8, chunk(b"zTXt", b"k\0\0" + zeros(10**8)) * 20, chunk(b"IDAT", zeros(72))),
    ),
    "compressed profile": (
        "pixels",
        lambda: png(8, 8, chunk(b"iCCP", b"k\0\0" + zeros(10**8)), chunk(b"IDAT", zeros(72))),
    ),
    "metadata of a WebP": ("pixels", lambda: with_exif("WEBP", _MANY)),
    "metadata of an AVIF": ("pixels", lambda: with_exif("AVIF", _MANY)),
    "comment of a GIF": ("ImageNotDecodable", lambda: gif_with_comment(_MANY // 2)),
    "disposal of a GIF": ("ImageTooLarge", lambda: gif_with_disposal(2)),
    "disposal of a transparent GIF": ("ImageTooLarge", lambda: gif_with_disposal(3)),
    "zeros in a GIF": ("ImageNotDecodable", lambda: flat("GIF", 8, 8)[:13] + bytes(_MANY)),
    "a lying AVIF": ("ImageTooLarge", lambda: lying_avif(5700)),
    "no pixels": ("ImageNotDecodable", lambda: png(0, 8, chunk(b"IDAT", zeros(8)))),
    "a row of a PNG": (
        "ImageTooLarge",
        lambda: png(MAX_PIXELS, 1, chunk(b"IDAT", zeros(10**8)), bits=16, colour=6),
    ),
    "a column of a PNG": ("ImageTooLarge", lambda: png(1, MAX_PIXELS, chunk(b"IDAT", zeros(3 * 10**7)))),
    "16 bits and alpha": (
        "pixels",
        lambda: png(4000, 4000, chunk(b"IDAT", zeros(4000 * 32_001)), bits=16, colour=6),
    ),
    "16 bits and alpha, interlaced": (
        "pixels",
        lambda: png(4000, 4000, chunk(b"IDAT", zeros(4000 * 32_009)), bits=16, colour=6, interlaced=1),
    ),
    "progressive CMYK": (
        "pixels",
        lambda: saved(Image.new("CMYK", (4000, 4000), (9, 99, 199, 9)), "JPEG", progressive=True),
    ),
    "alpha of a WebP": (
        "pixels",
        lambda: saved(Image.new("RGBA", (2500, 2500), (9, 99, 199, 9)), "WEBP", lossless=True, method=0),
    ),
    "alpha of an AVIF": (
        "pixels",
        lambda: saved(
            Image.new("RGBA", (2500, 2500), (9, 99, 199, 9)), "AVIF", speed=10, subsampling="4:4:4"
        ),
    ),
    **{f"{f}: as large as may be": ("pixels", lambda f=f: flat(f, 4000, 4000)) for f in FORMATS},
    **{f"{f}: a pixel row too large": ("ImageTooLarge", lambda f=f: flat(f, 4000, 4001)) for f in FORMATS},
    **{
        f"{f}: a header that lies": ("ImageTooLarge", lambda f=f: claiming(f, 16_000, 16_000))
        for f in FORMATS
    },
    **{f"{f}: a wide banner": ("pixels", lambda f=f: flat(f, *_banner(f))) for f in FORMATS},
    **{f"{f}: a tall banner": ("pixels", lambda f=f: flat(f, *_banner(f)[::-1])) for f in FORMATS},
    **{f"{f}: one pixel": ("pixels", lambda f=f: flat(f, 1, 1)) for f in FORMATS},
}


def _banner(file_format: str) -> tuple[int, int]:
    return (16_383 if file_format == "WEBP" else 30_000), 10  # WebP knows no larger side
