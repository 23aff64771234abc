"""Probes and metrics, for machines: no key is asked for, and no thread is shared with questions."""

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from recommender.api.dependencies import Owned, Serving
from recommender.api.models import Health
from recommender.api.problems import responses
from recommender.errors import TransientError

router = APIRouter(tags=["operation"])


@router.get("/healthz")
async def healthz() -> Health:
    """The process is alive."""
    return Health(status="alive")


@router.get("/readyz", responses=responses(503))
async def readyz(pair: Serving, resources: Owned, request: Request) -> Health:
    """The index answers, the encoder takes work, and the alias is followed."""
    await to_thread.run_sync(pair.index.ping, limiter=request.app.state.probe_threads)
    if not pair.batcher.is_alive:
        raise TransientError("the encoder does not answer")
    if resources.follower is not None and not resources.follower.is_alive:
        raise TransientError("the thread that follows the alias has ended: restart this process")
    return Health(status="ready")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Prometheus metrics of this process."""
    text = await to_thread.run_sync(generate_latest, limiter=request.app.state.probe_threads)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
