"""`lookalike doctor`: is everything there that a worker needs, and what to do about what is not."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import typer
from pydantic import SecretStr

from worker.cli.output import AsJson, print_json, print_lines

if TYPE_CHECKING:
    from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    ok: bool
    found: str


def doctor(as_json: AsJson = False) -> None:
    """Check Redis, index, encoder and buckets; says what to fix."""
    from config.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    findings = []
    for subject, check in _checks(settings):
        finding = _examined(subject, check)
        findings.append(finding)
        if not as_json:
            print_lines(f"{'ok  ' if finding.ok else 'FIX '} {finding.subject}: {finding.found}")
    if as_json:
        print_json([asdict(finding) for finding in findings])
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _checks(settings: "Settings") -> Iterator[tuple[str, Callable[[], str]]]:
    yield "redis", lambda: _redis(settings)
    yield "encoder", lambda: _encoder(settings)
    yield "index", lambda: _index(settings)
    for bucket in settings.s3.buckets:
        yield f"bucket {bucket}", partial(_bucket, settings, bucket)
    if not settings.s3.buckets:
        yield "buckets", _no_buckets


def _examined(subject: str, check: Callable[[], str]) -> Finding:
    from config.settings import ConfigurationError  # noqa: PLC0415
    from recommender.errors import LookalikeError  # noqa: PLC0415

    try:
        return Finding(subject, True, check())
    except (LookalikeError, ConfigurationError) as error:
        return Finding(subject, False, str(error))


def _redis(settings: "Settings") -> str:
    from config.settings import ConfigurationError, RedisSettings  # noqa: PLC0415
    from worker.broker import broker_errors, open_redis  # noqa: PLC0415
    from worker.owner import find_owner  # noqa: PLC0415
    from worker.redis_server import find_executable  # noqa: PLC0415

    owner = find_owner(settings.data_dir) if settings.redis.url is None else None
    if settings.redis.url is None and owner is None:
        return f"`lookalike up` will start {find_executable()}; set LOOKALIKE_REDIS__URL to use your own"
    named = settings.redis if owner is None else RedisSettings(url=SecretStr(owner.redis_url))
    with broker_errors(), open_redis(named) as client:
        server, persistence = client.info("server"), client.info("persistence")
        policy = client.info("memory")["maxmemory_policy"]
    if not persistence["aof_enabled"]:
        raise ConfigurationError("has no append-only file: `redis-cli config set appendonly yes`")
    if policy != "noeviction":
        raise ConfigurationError(f"evicts messages ({policy}): set maxmemory-policy to noeviction")
    return f"{server['redis_version']}, append-only file, no eviction"


def _encoder(settings: "Settings") -> str:
    from recommender.encoders.load import load_encoder  # noqa: PLC0415

    encoder = load_encoder(settings.encoder)
    return f"{encoder.fingerprint} on {encoder.device}, dimension {encoder.spec.dimension}"


def _index(settings: "Settings") -> str:
    from recommender.index.open import open_engine  # noqa: PLC0415
    from worker.owner import find_owner  # noqa: PLC0415

    if settings.index_is_embedded and (owner := find_owner(settings.data_dir)) is not None:
        return f"{settings.index_url}, owned by process {owner.pid}, which answers at {owner.url}"
    engine = open_engine(settings)
    try:
        serving = engine.serving()
    finally:
        engine.close()
    return f"{settings.index_url}, " + (f"filled by {serving}" if serving else "empty")


def _bucket(settings: "Settings", bucket: str) -> str:
    from recommender.images.s3 import S3Store, translated  # noqa: PLC0415

    store = S3Store(settings.s3, settings.images)
    try:
        with translated(f"s3://{bucket}/"):
            store.client.head_bucket(Bucket=bucket)
    finally:
        store.close()
    return f"answers at {settings.s3.endpoint_url or 'AWS'}"


def _no_buckets() -> str:
    from config.settings import ConfigurationError  # noqa: PLC0415

    raise ConfigurationError("none is allowed: name them in LOOKALIKE_S3__BUCKETS, a JSON list")
