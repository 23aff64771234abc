"""Which engine the settings name, and which of its collections this process serves from."""

from pathlib import Path

from config.settings import PREFIX, Settings
from recommender.encoders.recipe import Recipe
from recommender.errors import EncoderMismatch
from recommender.index.embedded import EmbeddedEngine
from recommender.index.protocol import IndexEngine, ProductIndex
from recommender.index.schema import Schema


def open_engine(settings: Settings) -> IndexEngine:
    """Open the engine at `settings.index_url`.

    Raises:
        StartupError: the server is too old.
        IndexUnavailable: the server doesn't answer.
    """
    schema = Schema(settings.catalog, settings.index.attributes)
    if settings.index_is_embedded:
        folder = Path(settings.index_url.removeprefix("edge:"))
        return EmbeddedEngine(folder, schema, settings.index.storage, rescore=settings.index.rescore)
    from recommender.index.server import ServerEngine  # noqa: PLC0415  # its client takes a second to import

    return ServerEngine(settings.index_url, settings.index, schema)


def open_serving_index(
    engine: IndexEngine, fingerprint: str, dimension: int, recipe: Recipe | None = None
) -> ProductIndex:
    """Open the collection that the alias names; the first process creates and promotes its own.

    Raises:
        EncoderMismatch: that collection was filled by another encoder than this process has.
        IndexInUse: another process owns the embedded index.
    """
    if engine.serving() is None:
        engine.create(fingerprint, dimension, recipe)
        engine.promote(fingerprint)
    serving = engine.serving()
    if serving != fingerprint:
        raise EncoderMismatch(
            f"this process has the encoder {fingerprint}, but the serving collection was filled by "
            f"{serving}: configure that encoder ({PREFIX}ENCODER__NAME, {PREFIX}ENCODER__WEIGHTS), or "
            f"restore the weights and calibration images that it was loaded from; or name another "
            f"{PREFIX}CATALOG and publish the products to it"
        )
    return engine.open(fingerprint)
