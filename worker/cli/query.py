"""One way to ask: the query API of whoever owns the index, else the same API in this process."""

import asyncio
from typing import Any

import httpx

from config.settings import Settings, load_settings
from recommender.errors import QueryError, TransientError
from worker.owner import find_owner

TIMEOUT_S = 60


def ask(method: str, path: str, **request: Any) -> dict[str, Any]:
    """Ask the query API; returns the JSON of its answer.

    Raises:
        QueryError: the question is wrong; the message is the API's.
        TransientError: the API could not answer.
        StartupError: nobody owns the index, and this process can't open it.
    """
    settings = load_settings()
    owner = find_owner(settings.data_dir) if settings.index_is_embedded else None
    if owner is not None:
        with httpx.Client(
            base_url=owner.url, headers=owner.headers, timeout=TIMEOUT_S, trust_env=False
        ) as client:
            try:
                return _answer(client.request(method, path, **request))
            except httpx.TransportError as error:
                raise TransientError(f"{owner.url}: {error}") from error
    return asyncio.run(_ask_here(settings, method, path, request))


async def _ask_here(settings: Settings, method: str, path: str, request: dict[str, Any]) -> dict[str, Any]:
    from recommender.api.app import create_app  # noqa: PLC0415  # the model and its library: seconds
    from recommender.resources import open_resources  # noqa: PLC0415
    from worker.owner import Owner, new_token  # noqa: PLC0415

    here = Owner("http://localhost", new_token(), "", 0)
    with open_resources(settings) as resources:
        api = create_app(resources, settings, extra_keys=(here.token,))
        transport = httpx.ASGITransport(api)
        async with httpx.AsyncClient(
            transport=transport, base_url=here.url, headers=here.headers, timeout=TIMEOUT_S, trust_env=False
        ) as client:
            return _answer(await client.request(method, path, **request))


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_success:
        return dict(response.json())
    problem = response.headers.get("content-type", "").endswith("json")
    detail = response.json() if problem else {}
    message = str(detail.get("detail") or detail.get("title") or f"HTTP {response.status_code}")
    raise (TransientError if response.is_server_error else QueryError)(message)
