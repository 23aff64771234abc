"""The OpenAPI description: what the routes say, and what is true of all of them."""

import copy
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from recommender.api.examples import OPERATIONS, PARAMETERS, PROBLEMS, Example
from recommender.api.problems import PROBLEM_TYPE

_ANY_ATTRIBUTE = "NAME"
_TEXT = {"schema": {"type": "string"}}
_REQUEST_ID = {"description": "the one that was sent, where it is sane, or a new one", **_TEXT}
_HEADERS = {
    "ETag": {"description": "weak; the same for an answer that says the same", **_TEXT},
    "Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}},
    "RateLimit": {"description": "requests left, and seconds until rested; where a rate is set", **_TEXT},
    "RateLimit-Policy": {
        "description": "requests at once, and seconds to earn them; where a rate is set",
        **_TEXT,
    },
}
_OF_STATUS = {
    "429": ("Retry-After", "RateLimit", "RateLimit-Policy"),
    "503": ("Retry-After",),
    "504": ("Retry-After",),
}
Schema = dict[str, Any]


def describe(app: FastAPI) -> None:
    """Have the app's description made once, when it is first asked for."""
    generate = app.openapi

    def described() -> Schema:
        if app.openapi_schema is None:
            _complete(generate(), app.state.settings.index.attributes)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI documents it


def _complete(schema: Schema, attributes: tuple[str, ...]) -> None:
    for form in schema["components"]["schemas"].values():
        if "file" in form.get("properties", {}):
            _name_form_fields(form, attributes)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _name_parameters(operation, attributes)
            if path.startswith("/v1"):
                _add_answers(method, operation)
            _add_headers(operation)
            _add_examples(operation, OPERATIONS.get((method, path), Example()))


def _name_parameters(operation: Schema, attributes: tuple[str, ...]) -> None:
    """`attr.NAME` stands for one parameter for each attribute that is declared."""
    parameters = [
        {**parameter, "name": parameter["name"].replace(_ANY_ATTRIBUTE, name)}
        for parameter in operation.get("parameters", ())
        for name in (attributes if _ANY_ATTRIBUTE in parameter["name"] else ("",))
    ]
    for parameter in parameters:
        if parameter["name"] in PARAMETERS:
            parameter["example"] = PARAMETERS[parameter["name"]]
    if parameters:
        operation["parameters"] = parameters


def _name_form_fields(form: Schema, attributes: tuple[str, ...]) -> None:
    """The form takes no other fields than those, though its model lets them through to a better error."""
    form["additionalProperties"] = False
    for name in attributes:
        form["properties"][f"attr.{name}"] = {"type": "array", "items": {"type": "string"}}
        for bound in ("min", "max"):
            form["properties"][f"attr.{name}.{bound}"] = {"type": "number"}


def _add_answers(method: str, operation: Schema) -> None:
    statuses = ["429", "503", "504", *(["408"] if "requestBody" in operation else [])]
    answers = operation["responses"]
    for status in statuses:
        answers.setdefault(
            status, {"description": HTTPStatus(int(status)).phrase, **copy.deepcopy(PROBLEM_TYPE)}
        )
    if method == "get" and "application/json" in answers["200"].get("content", {}):
        answers["304"] = {"description": "The answer that the client has is current"}
        answers["200"].setdefault("headers", {})["ETag"] = _HEADERS["ETag"]


def _add_headers(operation: Schema) -> None:
    for status, answer in operation["responses"].items():
        headers = answer.setdefault("headers", {})
        headers["X-Request-ID"] = _REQUEST_ID
        headers |= {name: _HEADERS[name] for name in _OF_STATUS.get(status, ())}


def _add_examples(operation: Schema, example: Example) -> None:
    if example.answer is not None:
        for content in operation["responses"]["200"]["content"].values():
            content["example"] = example.answer
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["examples"] = {
            summary.replace(" ", "-").replace(",", ""): {"summary": summary, "value": value}
            for summary, value in example.bodies.items()
        }
    for status, content in _problems(operation):
        content["example"] = PROBLEMS[status]


def _problems(operation: Schema) -> Iterator[tuple[int, Schema]]:
    for status, answer in operation["responses"].items():
        if "application/problem+json" in answer.get("content", {}) and status.isdecimal():
            yield int(status), answer["content"]["application/problem+json"]
