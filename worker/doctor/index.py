"""The doctor on the index: version, the serving collection, its payload indexes."""

from collections.abc import Iterator
from contextlib import closing

from config.settings import PREFIX, Settings
from recommender.encoders.protocol import Encoder
from recommender.index.open import open_engine
from recommender.index.protocol import IndexEngine
from recommender.waiting import without_password
from worker.doctor.finding import Finding, examined, fix, ok, warn
from worker.owner import find_owner

REMEDY = f"start (or upgrade) the server, or correct {PREFIX}INDEX__URL, _GRPC_PORT and _API_KEY"

ELSEWHERE = "ask what owns it (`lookalike similar` does), or stop it and look again"


def look_at_index(settings: Settings, encoder: Encoder | None) -> Iterator[Finding]:
    """The engine and the collection that serves; `encoder` None where it could not be loaded.

    Raises:
        StartupError: the server is too old.
        IndexUnavailable: it does not answer.
    """
    if settings.index_is_embedded and (owner := find_owner(settings.data_dir)) is not None:
        state = "ready" if owner.answers("/readyz") else "not ready"
        yield ok("index", f"{settings.index_url}, owned by process {owner.pid}, {state} at {owner.url}")
        return
    with closing(open_engine(settings)) as engine:
        serving = engine.serving()
        yield ok("index", without_password(settings.index_url))
        if serving is None:
            yield ok("collection", "none yet: the first worker makes it")
        elif serving not in engine.fingerprints():
            remedy = "the alias points nowhere: restore the collection, or delete the alias"
            yield fix("collection", f"{serving} serves and is not there", remedy)
        else:
            yield from examined("collection", _collection(engine, serving, encoder), ELSEWHERE)


def _collection(engine: IndexEngine, serving: str, encoder: Encoder | None) -> Iterator[Finding]:
    found = engine.describe(serving)
    said = (
        f"{serving}: {found.points} points of dimension {found.dimension}, {found.distance}, {found.storage}"
    )
    if encoder is None:
        yield warn("collection", said, "whether the encoder fits is not known until it loads")
    elif encoder.fingerprint != serving:
        yield fix(
            "collection",
            f"{said}; the configured encoder is {encoder.fingerprint}",
            f"configure the encoder that filled it ({PREFIX}ENCODER__NAME, {PREFIX}ENCODER__WEIGHTS), "
            f"or name another {PREFIX}CATALOG and publish the products to it",
        )
    elif (found.dimension, found.distance) != (encoder.spec.dimension, "cosine"):
        remedy = f"it was not made by Lookalike: name another {PREFIX}CATALOG, and publish the products to it"
        yield fix("collection", f"{said}; expected {encoder.spec.dimension}, cosine", remedy)
    else:
        yield ok("collection", said)
    if found.missing_indexes:
        remedy = "start a worker: it makes them; one of another kind must be deleted first"
        yield fix("payload indexes", f"missing: {', '.join(found.missing_indexes)}", remedy)
    else:
        yield ok("payload indexes", "all there")
