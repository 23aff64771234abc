"""Errors as RFC 9457 problem details: one shape for ours, FastAPI's and the router's."""

import copy
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from config.logging import REQUEST_ID
from recommender import errors

log = logging.getLogger(__name__)
_RETRY_AFTER_S = 5


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="urn:lookalike:problem:NAME, or about:blank where the status says it all")
    title: str = Field(description="the same for every problem of this type")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="what is wrong with this request, and what to do")
    parameter: str | None = Field(None, description="the parameter or body field that is wrong")
    request_id: str | None = Field(
        None, description="what the log calls this request; X-Request-ID says it too"
    )


class Kind(NamedTuple):
    """What problems of one type have in common."""

    status: int
    name: str
    title: str


RATE_LIMITED = Kind(429, "rate-limited", "Too many requests of this caller")
OVERLOADED = Kind(503, "overloaded", "Too many requests are in hand")
NOT_IN_TIME = Kind(504, "not-in-time", "The answer took too long")
BODY_NOT_IN_TIME = Kind(408, "body-not-in-time", "The request took too long to arrive")

KINDS: dict[type[errors.LookalikeError], Kind] = {
    errors.InvalidQuery: Kind(400, "invalid-query", "A parameter is wrong"),
    errors.ProductNotFound: Kind(404, "product-not-found", "No such product"),
    errors.ProductNotSearchable: Kind(409, "product-not-searchable", "The product has no usable image yet"),
    errors.TextNotSupported: Kind(422, "text-not-supported", "The encoder can't read text"),
    errors.WeightsUnavailable: Kind(503, "weights-unavailable", "A part of the encoder is not installed"),
    errors.ImageNotAllowed: Kind(403, "image-not-allowed", "The image is not on the allow-list"),
    errors.ImageNotFound: Kind(404, "image-not-found", "No such image"),
    errors.ImageTooLarge: Kind(413, "image-too-large", "The image is too large"),
    errors.ImageNotDecodable: Kind(422, "not-an-image", "The bytes can't be decoded as an image"),
    errors.TransientError: Kind(503, "unavailable", "A part of the system does not answer"),
    errors.EncoderLost: Kind(503, "encoder-lost", "This process can't embed any more, and must be restarted"),
    errors.ShuttingDown: Kind(503, "shutting-down", "This process is closing"),
}

PROBLEM_TYPE = {"content": {"application/problem+json": {"schema": Problem.model_json_schema()}}}
"""Of an answer in the OpenAPI description."""


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of a route, for its OpenAPI description."""
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, **copy.deepcopy(PROBLEM_TYPE)}
        for status in statuses
    }
    described["default"] = {"description": "Any other problem", **copy.deepcopy(PROBLEM_TYPE)}
    return described


def problem(
    status: int,
    detail: str,
    *,
    kind: Kind | None = None,
    parameter: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the answer; without `kind`, of type about:blank."""
    body = body_of(status, detail, kind, parameter, REQUEST_ID.get()).model_dump(exclude_none=True)
    # In ASCII: a detail may quote what UTF-8 can't say, like half of a surrogate pair.
    return Response(json.dumps(body), status, headers, media_type="application/problem+json")


def problem_of(error: errors.LookalikeError) -> Problem:
    """The problem that an error is, for an answer that holds others too.

    Raises:
        LookalikeError: the error itself, if it is none of a question's.
    """
    kind = _kind_of(error)
    return body_of(kind.status, str(error), kind, getattr(error, "parameter", None))


def install(app: FastAPI) -> None:
    """Make every error of the app a problem."""
    app.add_exception_handler(errors.LookalikeError, _on_lookalike_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


async def _on_lookalike_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, errors.LookalikeError)
    kind = _kind_of(error)
    headers = {"Retry-After": str(_RETRY_AFTER_S)} if kind.status == HTTPStatus.SERVICE_UNAVAILABLE else None
    if headers:
        log.warning("query_failed", extra={"error": type(error).__name__, "detail": str(error)})
    return problem(
        kind.status, str(error), kind=kind, parameter=getattr(error, "parameter", None), headers=headers
    )


def _kind_of(error: errors.LookalikeError) -> Kind:
    kind = next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), None)
    if kind is None:
        raise error
    return kind


def body_of(
    status: int, detail: str, kind: Kind | None, parameter: str | None, request_id: str | None = None
) -> Problem:
    """The body of a problem; without `kind`, of type about:blank."""
    return Problem(
        type=f"urn:lookalike:problem:{kind.name}" if kind else "about:blank",
        title=kind.title if kind else HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        parameter=parameter,
        request_id=request_id,
    )


async def _on_validation_error(_: Request, error: Exception) -> Response:
    """A malformed parameter is an invalid query, whoever found it."""
    assert isinstance(error, RequestValidationError)
    found = [(_parameter(item["loc"]), str(item["msg"])) for item in error.errors()]
    detail = "; ".join(f"{name}: {reason}" if name else reason for name, reason in found)
    kind = KINDS[errors.InvalidQuery]
    return problem(kind.status, detail, kind=kind, parameter=found[0][0] or None)


def _parameter(location: tuple[str | int, ...]) -> str:
    """`("query", "limit")` is limit; `("body", "filter", "price_min")` is filter.price_min.

    What is in brackets tells the kinds of a value apart, and is no name of the sender's.
    """
    if len(location) == 2 and isinstance(location[1], int):
        return ""  # where in the body it stops to be JSON
    return ".".join(str(part) for part in location[1:] if not str(part).startswith("("))


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), headers=error.headers)
