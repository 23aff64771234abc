"""The FastAPI app: what is put together how."""

from fastapi import Depends, FastAPI

from config.settings import Settings
from recommender.api import problems
from recommender.api.keys import KeyRing, require_key
from recommender.api.middleware import Measured, RawPath
from recommender.api.routes import embeddings, gallery, probes, products, similar
from recommender.resources import Resources

_MAX_BODY_BYTES = 2**20
_FORM_FIELDS_BYTES = 2**16  # what a multipart upload holds besides the photo


def create_app(resources: Resources, settings: Settings, *, extra_keys: tuple[str, ...] = ()) -> FastAPI:
    """Build the query API over resources that the caller owns and closes.

    `extra_keys` are accepted where keys are required, but do not make them so.
    """
    app = FastAPI(
        title="Lookalike",
        summary="Product events in, visually similar products out.",
        description="Errors are RFC 9457 problem details (`application/problem+json`).",
        version="1",
        redirect_slashes=False,  # a product's id may end in a slash
    )
    app.state.resources = resources
    app.state.settings = settings
    app.state.keys = KeyRing((key.get_secret_value() for key in settings.api.keys), extra_keys)
    problems.install(app)
    keyed = [Depends(require_key)]
    upload_bytes = settings.api.max_upload_bytes + _FORM_FIELDS_BYTES
    app.include_router(similar.upload_router, dependencies=keyed, max_body_size=upload_bytes)
    # The order counts: a product's id may hold slashes, so its own route comes after those below it.
    app.include_router(similar.router, dependencies=keyed, max_body_size=_MAX_BODY_BYTES)
    app.include_router(products.router, dependencies=keyed)
    app.include_router(embeddings.router, dependencies=keyed)
    app.include_router(probes.router)
    app.include_router(gallery.router)
    app.add_middleware(RawPath)
    app.add_middleware(Measured)
    return app
