"""Create the buckets of `LOOKALIKE_S3__BUCKETS` that an object store of one's own lacks."""  # noqa: INP001  # a script, not a module

import logging

import boto3

from config.logging import configure_logging
from config.settings import S3Settings, load_settings

log = logging.getLogger(__name__)


def create_missing(s3: S3Settings) -> list[str]:
    """Create them, with credentials from boto3's usual chain; return their names."""
    client = boto3.client("s3", endpoint_url=s3.endpoint_url, region_name=s3.region)
    there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    missing = [name for name in s3.buckets if name not in there]
    for name in missing:
        client.create_bucket(Bucket=name)
    return missing


if __name__ == "__main__":
    settings = load_settings()
    configure_logging(settings.log)
    log.info("buckets_created", extra={"buckets": create_missing(settings.s3)})
