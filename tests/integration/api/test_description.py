"""The OpenAPI description: complete, and with examples that fit it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from recommender.api.examples import OPERATIONS

Json = Any


@pytest.fixture(scope="module")
def description(api: httpx.Client) -> Json:
    return api.get("/openapi.json").json()


def operations(description: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def faults(description: Json, schema: Json, value: Json) -> list[str]:
    """What is wrong with a value, by a schema of the description."""
    whole = {**schema, "components": description["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def test_every_operation_has_an_example_and_every_example_an_operation(description: Json) -> None:
    assert {(method, path) for method, path, _ in operations(description)} == set(OPERATIONS)


def test_every_answer_and_body_in_json_has_an_example_that_fits(description: Json) -> None:
    checked = 0
    for method, path, operation in operations(description):
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                if "json" in media_type and status != "default":
                    assert faults(description, content["schema"], content["example"]) == [], (
                        method,
                        path,
                        status,
                    )
                    checked += 1
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["examples"], (method, path)
            for example in content["examples"].values():
                assert faults(description, content["schema"], example["value"]) == [], (method, path)
                checked += 1
    assert checked > 50


def test_every_parameter_has_a_description_or_an_example_that_fits(description: Json) -> None:
    for method, path, operation in operations(description):
        for parameter in operation.get("parameters", ()):
            named = (method, path, parameter["name"])
            if parameter["in"] == "header":
                continue
            if parameter["name"].startswith("attr."):
                assert parameter["description"], named
            else:
                assert faults(description, parameter["schema"], parameter["example"]) == [], named


def test_what_is_true_of_every_request_stands_at_every_operation(description: Json) -> None:
    for method, path, operation in operations(description):
        answers = operation["responses"]
        assert all("X-Request-ID" in answer["headers"] for answer in answers.values()), path
        if not path.startswith("/v1"):
            continue
        assert {"401", "429", "503", "504", "default"} <= set(answers), path
        assert "Retry-After" in answers["429"]["headers"]
        assert ("408" in answers) == (method == "post")
        assert ("304" in answers) == (method == "get")
        assert operation["security"]


def test_attributes_stand_by_their_names(description: Json) -> None:
    similar = description["paths"]["/v1/products/{product_id}/similar"]["get"]
    names = [parameter["name"] for parameter in similar["parameters"]]
    bounds = ("", ".min", ".max")
    named = [f"attr.{name}{bound}" for bound in bounds for name in ("colour", "sizes")]
    assert [name for name in names if name.startswith("attr.")] == named
    (form,) = [s for s in description["components"]["schemas"].values() if "file" in s.get("properties", {})]
    assert {*named, "file", "category"} <= set(form["properties"])
    assert form["additionalProperties"] is False


def test_every_operation_of_the_api_asks_for_a_key_before_anything_else(description: Json) -> None:
    """Admission goes by the path: no operation lies outside of it but those named here."""
    open_to_all = {path for _, path, operation in operations(description) if "security" not in operation}
    assert open_to_all == {"/healthz", "/readyz", "/metrics"}
