"""One way to ask: the query API of whoever owns the index, else the same API in this process."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from config.settings import Settings, load_settings
from recommender.errors import QueryError, TransientError
from worker.owner import Owner, find_owner

TIMEOUT_S = 60


class Api:
    """The query API, for as many questions as one has."""

    def __init__(self, send: Callable[..., httpx.Response]) -> None:
        self._send = send

    def ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Ask; returns the JSON of the answer.

        Raises:
            QueryError: the question is wrong; the message is the API's.
            TransientError: the API could not answer.
        """
        return dict(_answer(self._send(method, path, **request)).json())

    def picture(self, product_id: str, image: int, px: int) -> bytes:
        """A JPEG of one image of a product, counted from 0, within px x px.

        Raises:
            QueryError: there is none that can be shown.
            TransientError: the API could not answer.
        """
        path = f"/v1/products/{quote(product_id, safe='')}/images/{image}"
        return _answer(self._send("GET", path, params={"px": px})).content


def ask(method: str, path: str, **request: Any) -> dict[str, Any]:
    """Ask the query API once; returns the JSON of its answer.

    Raises:
        QueryError: the question is wrong; the message is the API's.
        TransientError: the API could not answer.
        StartupError: nobody owns the index, and this process can't open it.
    """
    with open_api() as api:
        return api.ask(method, path, **request)


@contextmanager
def open_api() -> Iterator[Api]:
    """The query API of the index's owner, or one in this process, while the context is open.

    Raises:
        StartupError: nobody owns the index, and this process can't open it.
    """
    settings = load_settings()
    owner = find_owner(settings.data_dir) if settings.index_is_embedded else None
    with _of_owner(owner) if owner is not None else _here(settings) as api:
        yield api


@contextmanager
def _of_owner(owner: Owner) -> Iterator[Api]:
    def send(method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return client.request(method, path, **request)
        except httpx.TransportError as error:
            raise TransientError(f"{owner.url}: {error}") from error

    with httpx.Client(**_options(owner)) as client:
        yield Api(send)


@contextmanager
def _here(settings: Settings) -> Iterator[Api]:
    from recommender.api.app import create_app  # noqa: PLC0415  # the model and its library: seconds
    from recommender.resources import open_resources  # noqa: PLC0415
    from worker.owner import new_token  # noqa: PLC0415

    here = Owner("http://localhost", new_token(), "", 0)
    with open_resources(settings) as resources, asyncio.Runner() as runner:
        transport = httpx.ASGITransport(create_app(resources, settings, extra_keys=(here.token,)))
        client = httpx.AsyncClient(transport=transport, **_options(here))
        try:
            yield Api(lambda *question, **request: runner.run(client.request(*question, **request)))
        finally:
            runner.run(client.aclose())


def _options(owner: Owner) -> dict[str, Any]:
    return {"base_url": owner.url, "headers": owner.headers, "timeout": TIMEOUT_S, "trust_env": False}


def _answer(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    problem = response.headers.get("content-type", "").endswith("json")
    detail = response.json() if problem else {}
    message = str(detail.get("detail") or detail.get("title") or f"HTTP {response.status_code}")
    raise (TransientError if response.is_server_error else QueryError)(message)
