"""A thousand uploads that something is wrong with: each is answered, none by a mistake of ours."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from recommender import metrics
from tests.shop import draw, filled_shop, served

UPLOADS = 1000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
BOUNDARY = b"cut-here"
Mutate = Callable[[Random, bytearray], None]


def flip(chance: Random, data: bytearray) -> None:
    for _ in range(chance.choice([1, 1, 4, 64])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def set_in_head(chance: Random, data: bytearray) -> None:
    """Sizes, depths, lengths and markers stand at the front."""
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(min(64, len(data)))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])


def cut(chance: Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def take_out(chance: Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randint(1, 200)]


def repeat(chance: Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randint(1, 400)]
    data[start:start] = piece * chance.randint(1, 50)


def put_in(chance: Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    data[start:start] = chance.randbytes(chance.randint(1, 200))


MUTATIONS: tuple[Mutate, ...] = (flip, set_in_head, cut, take_out, repeat, put_in)


def body_of(photo: bytes) -> bytearray:
    head = b'Content-Disposition: form-data; name="%b"'
    return bytearray(
        b"--%b\r\n%b\r\n\r\n5\r\n" % (BOUNDARY, head % b"limit")
        + b'--%b\r\n%b; filename="photo"\r\nContent-Type: image/jpeg\r\n\r\n' % (BOUNDARY, head % b"file")
        + b"%b\r\n--%b--\r\n" % (photo, BOUNDARY)
    )


def test_a_thousand_malformed_uploads_are_answered_without_a_mistake(
    s3_endpoint: str, tmp_path: Path
) -> None:
    chance = Random(20260101)  # noqa: S311
    photos = [draw("round", "red", file_format=name) for name in FORMATS]
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
    seen: Counter[int] = Counter()
    with (
        filled_shop(s3_endpoint, tmp_path, images={"max_pixels": 250_000}) as shop,
        served(shop) as api,
    ):
        for n in range(UPLOADS):
            photo = bytearray(photos[n % len(photos)])
            is_photo = n % 3 > 0
            if is_photo:
                chance.choice(MUTATIONS)(chance, photo)
            body = body_of(bytes(photo))
            if not is_photo:
                chance.choice(MUTATIONS)(chance, body)
            response = api.post("/v1/similar/image", content=bytes(body), headers=headers)
            seen[response.status_code] += 1
            assert response.status_code in {200, 400, 413, 422}, (n, response.status_code, response.text)
            if response.status_code != 200:
                assert response.headers["content-type"] == "application/problem+json"
                assert response.json()["status"] == response.status_code
        assert api.post("/v1/similar/image", files={"file": photos[0]}).status_code == 200
    assert min(seen[200], seen[400], seen[422]) >= 20, seen  # of every kind enough to mean something
    assert metrics.API_IN_HAND._value.get() == 0
