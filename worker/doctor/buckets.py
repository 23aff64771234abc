"""The doctor on the object store: credentials, and whether the buckets can be read; a few requests each."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import boto3

from config.settings import PREFIX, Settings
from recommender.errors import ImageNotFound, LookalikeError
from recommender.images.s3 import S3Store, translated
from worker.doctor.finding import Finding, examined, fix, ok, warn

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def look_at_buckets(settings: Settings) -> Iterator[Finding]:
    """The credentials and every allowed bucket."""
    with closing(S3Store(settings.s3, settings.images)) as store:
        if not settings.s3.buckets:
            yield _none(settings)
            return
        yield from examined("credentials", _credentials(), "correct the profile or the variables")
        for bucket in settings.s3.buckets:
            yield _bucket(store.client, bucket, settings.s3.endpoint_url or "AWS")


def _none(settings: Settings) -> Finding:
    remedy = f"name them in {PREFIX}S3__BUCKETS, a JSON list"
    if settings.images.https_hosts or settings.images.local_root:
        return warn("buckets", "none is allowed; images come from elsewhere", remedy)
    return fix("buckets", "none is allowed, nor is any other source of images", remedy)


def _credentials() -> Iterator[Finding]:
    with translated("credentials"):
        found = boto3.session.Session().get_credentials()
    if found is None:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role of the machine"
        yield fix("credentials", "none: boto3's chain finds no key", remedy)
    else:
        yield ok("credentials", f"from {found.method}")


def _bucket(client: "S3Client", bucket: str, where: str) -> Finding:
    subject, uri = f"bucket {bucket}", f"s3://{bucket}"
    try:
        with translated(uri):
            client.head_bucket(Bucket=bucket)
    except ImageNotFound as error:
        remedy = f"create it, correct {PREFIX}S3__BUCKETS, or allow these credentials to read it"
        return fix(subject, str(error), remedy)
    except LookalikeError as error:
        return fix(
            subject, str(error), f"see {PREFIX}S3__ENDPOINT_URL, {PREFIX}S3__REGION and the credentials"
        )
    try:
        with translated(uri):
            found = client.list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents", [])
    except LookalikeError as error:
        remedy = "allow s3:ListBucket: without it a missing image can't be told from a forbidden one"
        return warn(subject, f"it can't be listed, and reading was not tried: {error}", remedy)
    if not found:
        return ok(subject, f"answers at {where}; it is empty, so reading was not tried")
    try:
        with translated(f"{uri}/{found[0]['Key']}"):
            client.head_object(Bucket=bucket, Key=found[0]["Key"])  # needs what reading needs
    except LookalikeError as error:
        return fix(subject, str(error), "allow s3:GetObject on what is in it")
    return ok(subject, f"can be listed and read at {where}")
