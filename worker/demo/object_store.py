"""An object store on loopback that speaks the S3 protocol, and lives as long as the demo."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from config.settings import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BUCKET = "demo-shop"
REGION = "us-east-1"
ACCESS_KEY = "demo"  # the store accepts any


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """Where the store listens; its one bucket is `BUCKET`. Travels to other processes."""

    endpoint_url: str

    def client(self) -> "S3Client":
        """A new client, untouched by the environment's credentials and proxies."""
        session = boto3.session.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=ACCESS_KEY)
        config = Config(s3={"addressing_style": "path"}, proxies={})
        url = self.endpoint_url
        client: S3Client = session.client("s3", endpoint_url=url, region_name=REGION, config=config)
        return client


@contextmanager
def running_object_store() -> Iterator[ObjectStore]:
    """Serve an empty bucket on a free port of 127.0.0.1, from a thread.

    Raises:
        ConfigurationError: moto, which is the server, is not installed.
    """
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415  # an extra: only the demo needs it
    except ImportError as error:
        raise ConfigurationError("the demo needs moto: pip install 'lookalike[demo]'") from error
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request is too much
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = ObjectStore(f"http://{host}:{port}")
        store.client().create_bucket(Bucket=BUCKET)
        yield store
    finally:
        server.stop()
