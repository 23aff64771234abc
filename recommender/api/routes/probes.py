"""Probes and metrics, for machines; no key is asked for."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from recommender.api.dependencies import Owned
from recommender.api.models import Health
from recommender.api.problems import responses
from recommender.errors import TransientError

router = APIRouter(tags=["operation"])


@router.get("/healthz")
def healthz() -> Health:
    """The process is alive."""
    return Health(status="alive")


@router.get("/readyz", responses=responses(503))
def readyz(resources: Owned) -> Health:
    """The index answers, and the encoder takes work."""
    resources.index.ping()
    if not resources.batcher.is_alive:
        raise TransientError("the encoder does not answer")
    return Health(status="ready")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics() -> Response:
    """Prometheus metrics of this process."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
