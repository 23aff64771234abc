"""Ways to fetch and ways to decode that the benchmark tries; plain code, none of it ours."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import boto3
import numpy as np
import torch
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from PIL import Image
from torch import Tensor

from recommender.encoders.preprocess import to_input
from recommender.encoders.protocol import Preprocessing
from tests.benchmarks.store import BUCKET

Fetch = Callable[[str], bytes]
Decode = Callable[[bytes], Tensor]
KEY, REGION = "bench", "us-east-1"


def client(endpoint_url: str) -> Any:
    """A boto3 client with connections for every thread."""
    session = boto3.session.Session(aws_access_key_id=KEY, aws_secret_access_key=KEY)
    config = Config(s3={"addressing_style": "path"}, proxies={}, max_pool_connections=64)
    return session.client("s3", endpoint_url=endpoint_url, region_name=REGION, config=config)


def by_boto3(endpoint_url: str) -> Fetch:
    """As anybody would."""
    s3 = client(endpoint_url)
    return lambda key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def by_urllib3(endpoint_url: str) -> Fetch:
    """botocore's signature over a bare pool of connections."""
    pool = urllib3.PoolManager(maxsize=64)
    signer = S3SigV4Auth(Credentials(KEY, KEY), "s3", REGION)

    def fetch(key: str) -> bytes:
        request = AWSRequest("GET", f"{endpoint_url}/{BUCKET}/{key}")
        request.context["payload_signing_enabled"] = False
        signer.add_auth(request)
        return pool.request("GET", request.url, headers=dict(request.headers)).data

    return fetch


FETCHES: dict[str, Callable[[str], Fetch]] = {"boto3": by_boto3, "urllib3": by_urllib3}


def decoders(p: Preprocessing) -> dict[str, Decode]:
    """Decode and resize to the encoder's input, (3, S, S) uint8; those whose package is installed."""
    found: dict[str, Decode] = {"pillow": lambda data: _resized(_pillow(data), p)}
    found["pillow draft"] = lambda data: _resized(_pillow(data, draft_px=2 * p.resize_px), p)
    try:
        import torchvision.io as tv  # noqa: PLC0415
    except ImportError:
        pass
    else:
        rgb = tv.ImageReadMode.RGB
        found["torchvision"] = lambda data: to_input(tv.decode_jpeg(_tensor(data), mode=rgb), p)
    try:
        from torchcodec.decoders import decode_image  # noqa: PLC0415
    except (ImportError, RuntimeError):
        pass
    else:
        found["torchcodec"] = lambda data: to_input(decode_image(_tensor(data)), p)
    try:
        import simplejpeg  # noqa: PLC0415
    except ImportError:
        pass
    else:

        def scaled(data: bytes) -> Tensor:
            least = 2 * p.resize_px
            array = simplejpeg.decode_jpeg(data, "RGB", min_width=least, min_height=least, min_factor=1)
            return to_input(torch.from_numpy(array).permute(2, 0, 1), p)

        found["simplejpeg"] = lambda data: to_input(
            torch.from_numpy(simplejpeg.decode_jpeg(data, "RGB")).permute(2, 0, 1), p
        )
        found["simplejpeg scaled"] = scaled
    return found


def pillow_input(data: bytes, p: Preprocessing) -> Tensor:
    """Decode and resize with Pillow alone."""
    return _resized(_pillow(data), p)


def _pillow(data: bytes, draft_px: int | None = None) -> Image.Image:
    image = Image.open(BytesIO(data))
    if draft_px is not None:
        image.draft("RGB", (draft_px, draft_px))
    return image.convert("RGB")


def _resized(image: Image.Image, p: Preprocessing) -> Tensor:
    how = Image.Resampling.BICUBIC if p.interpolation == "bicubic" else Image.Resampling.BILINEAR
    if p.resize == "squash":
        image = image.resize((p.resize_px, p.resize_px), how)
    else:
        shorter = min(image.size)
        image = image.resize(
            (p.resize_px * image.width // shorter, p.resize_px * image.height // shorter), how
        )
        left, top = (image.width - p.input_px) // 2, (image.height - p.input_px) // 2
        image = image.crop((left, top, left + p.input_px, top + p.input_px))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def _tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)
