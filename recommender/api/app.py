"""The FastAPI app: what is put together how."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from anyio import CapacityLimiter
from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from config.settings import Settings
from recommender.api import problems
from recommender.api.admission import Admission
from recommender.api.conditional import Conditional
from recommender.api.deadline import Deadline
from recommender.api.description import describe
from recommender.api.keys import KeyRing, documented_key
from recommender.api.lingering import Lingering
from recommender.api.middleware import Answered, Observed, RawPath
from recommender.api.rate_limit import RateLimiter
from recommender.api.routes import census, embeddings, gallery, probes, products, similar
from recommender.resources import Resources

_MAX_BODY_BYTES = 2**20
_FORM_FIELDS_BYTES = 2**16  # what a multipart upload holds besides the photo
_PROBE_THREADS = 4


def create_app(resources: Resources, settings: Settings, *, extra_keys: tuple[str, ...] = ()) -> FastAPI:
    """Build the query API over resources that the caller owns and closes.

    `extra_keys` are accepted where keys are required, but do not make them so.

    Raises:
        ConfigurationError: a rate is set, and no Redis to count in.
    """
    keys = KeyRing((key.get_secret_value() for key in settings.api.keys), extra_keys)
    limiter = None if settings.api.rate_per_s is None else RateLimiter(settings)
    app = FastAPI(
        title="Lookalike",
        summary="Product events in, visually similar products out.",
        description="Errors are RFC 9457 problem details (`application/problem+json`).",
        version="1",
        redirect_slashes=False,  # a product's id may end in a slash
        lifespan=_closing(limiter),
    )
    app.state.resources = resources
    app.state.settings = settings
    app.state.keys = keys
    app.state.probe_threads = CapacityLimiter(_PROBE_THREADS)
    problems.install(app)
    _add_routes(app, settings)
    _add_middleware(app, settings, keys, limiter)
    describe(app)
    return app


def _add_routes(app: FastAPI, settings: Settings) -> None:
    keyed = [Depends(documented_key)]
    upload_bytes = settings.api.max_upload_bytes + _FORM_FIELDS_BYTES
    app.include_router(similar.upload_router, dependencies=keyed, max_body_size=upload_bytes)
    # The order counts: a product's id may hold slashes, so its own route comes after those below it.
    app.include_router(similar.router, dependencies=keyed, max_body_size=_MAX_BODY_BYTES)
    app.include_router(products.router, dependencies=keyed)
    app.include_router(embeddings.router, dependencies=keyed)
    app.include_router(census.router, dependencies=keyed)
    app.include_router(probes.router)
    app.include_router(gallery.router)


def _add_middleware(app: FastAPI, settings: Settings, keys: KeyRing, limiter: RateLimiter | None) -> None:
    """Each is put around those before it: a request meets them from the last to the first."""
    api = settings.api
    app.add_middleware(Conditional)
    app.add_middleware(Deadline, seconds=api.deadline_s)
    app.add_middleware(Admission, keys=keys, limiter=limiter, max_in_hand=api.max_in_hand)
    app.add_middleware(Answered)
    app.add_middleware(RawPath)
    if api.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=api.cors_origins,
            allow_headers=["X-API-Key", "Authorization", "If-None-Match", "X-Request-ID"],
            expose_headers=["ETag", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-ID"],
            allow_methods=["GET", "POST"],
        )
    app.add_middleware(Observed)
    app.add_middleware(Lingering)


def _closing(limiter: RateLimiter | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Close the limiter in the event loop that it belongs to, once the last request is answered."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if limiter is not None:
            await limiter.close()

    return lifespan
