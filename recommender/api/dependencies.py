"""What a route may ask for; `async`, since FastAPI takes a thread for each that isn't."""

from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from config.settings import Settings
from recommender.resources import Resources
from recommender.serving import Pair


async def _resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


async def _pair(resources: Annotated[Resources, Depends(_resources)]) -> AsyncIterator[Pair]:
    """Given back once the route's thread has ended, also where its answer came too late."""
    with resources.serving.lease() as pair:
        yield pair


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _product_id(
    product_id: Annotated[str, Path(description="the product's id, percent-encoded")],
) -> str:
    return unquote(product_id)  # routes match the path as it was sent


class _Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


async def no_parameters(_: Annotated[_Nothing, Query()]) -> None:
    """Refuse every query parameter, by its name."""


Owned = Annotated[Resources, Depends(_resources)]
Serving = Annotated[Pair, Depends(_pair, scope="function")]
"""The pair that answers this request, all of it."""
Configured = Annotated[Settings, Depends(_settings)]
ProductIdInPath = Annotated[str, Depends(_product_id)]
"""Of a route with `{product_id:path}`."""
