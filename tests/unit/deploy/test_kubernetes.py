"""The manifests: against the schemas of Kubernetes, and against what the processes really read and need."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from config.settings import WorkerSettings, variable_names
from recommender.api.routes import probes

Document = dict[str, Any]


@pytest.fixture(scope="module")
def folder(deploy: Path) -> Path:
    return deploy / "kubernetes"


@pytest.fixture(scope="module")
def documents(folder: Path, read_yaml: Callable[[Path], list[Any]]) -> list[Document]:
    """All but the kustomization, which Kubernetes never sees."""
    files = sorted(folder.glob("*.yaml"))
    return [doc for file in files if file.name != "kustomization.yaml" for doc in read_yaml(file)]


@pytest.fixture(scope="module")
def deployments(documents: list[Document]) -> dict[str, Document]:
    return {doc["metadata"]["name"]: doc["spec"] for doc in documents if doc["kind"] == "Deployment"}


@pytest.fixture(scope="module")
def containers(deployments: dict[str, Document]) -> dict[str, Document]:
    found = {}
    for name, spec in deployments.items():
        (found[name],) = spec["template"]["spec"]["containers"]
    return found


def test_the_schemas_hold(documents: list[Document]) -> None:
    assert len(documents) == 12
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_kustomization_names_every_file_but_the_secret(
    folder: Path, read_yaml: Callable[[Path], list[Any]]
) -> None:
    (kustomization,) = read_yaml(folder / "kustomization.yaml")
    files = {path.name for path in folder.glob("*.yaml")}
    assert set(kustomization["resources"]) == files - {"kustomization.yaml", "secret.example.yaml"}


def test_the_processes_are_those_of_the_architecture(
    containers: dict[str, Document], check_command: Callable[[list[str]], None]
) -> None:
    assert set(containers) == {"worker", "beat", "stream", "api"}
    for container in containers.values():
        check_command(container["args"])


def test_every_variable_is_a_setting(folder: Path, named_variables: Callable[[Path], set[str]]) -> None:
    for path in folder.glob("*.yaml"):
        assert named_variables(path) <= {*variable_names(), "LOOKALIKE_"}, path.name


def test_each_process_can_read_its_settings(
    documents: list[Document],
    containers: dict[str, Document],
    settings_of: Callable[[Mapping[str, Any]], Any],
) -> None:
    (secret,) = [doc["stringData"] for doc in documents if doc["kind"] == "Secret"]
    (public,) = [doc["data"] for doc in documents if doc["kind"] == "ConfigMap"]
    assert not set(secret) & set(public)
    for container in containers.values():
        assert [next(iter(source)) for source in container["envFrom"]] == ["configMapRef", "secretRef"]
        own = {item["name"]: item["value"] for item in container.get("env", [])}
        settings = settings_of({**public, **secret, **own})
        assert settings.redis_url
        assert not settings.index_is_embedded
        assert settings.api.keys


def test_no_variable_of_kubernetes_looks_like_a_setting(deployments: dict[str, Document]) -> None:
    """A Service called lookalike-... would add LOOKALIKE_..._PORT, and unknown settings are refused."""
    assert all(spec["template"]["spec"]["enableServiceLinks"] is False for spec in deployments.values())


def test_every_image_has_a_pinned_tag(containers: dict[str, Document]) -> None:
    assert all(re.search(r":\d+\.\d+\.\d+-c\w+$", item["image"]) for item in containers.values())


def test_probes_ask_for_routes_that_exist(containers: dict[str, Document]) -> None:
    routes = {route.path for route in probes.router.routes}
    api = containers["api"]
    paths = {name: api[name]["httpGet"]["path"] for name in api if name.endswith("Probe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert set(paths.values()) <= routes


def test_the_worker_has_a_gpu_and_may_finish_what_it_has_in_hand(
    deployments: dict[str, Document], containers: dict[str, Document]
) -> None:
    worker = containers["worker"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert worker["image"].endswith("-cuda")
    pod = deployments["worker"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > WorkerSettings().grace_s


def test_selectors_find_the_pods(documents: list[Document], deployments: dict[str, Document]) -> None:
    labels = [spec["template"]["metadata"]["labels"] for spec in deployments.values()]
    for document in documents:
        selector = document.get("spec", {}).get("selector")
        if selector is not None:
            wanted = selector.get("matchLabels", selector)
            assert sum(wanted.items() <= found.items() for found in labels) == 1, document["metadata"]


def test_only_the_autoscaler_sets_the_replicas_of_the_api(
    documents: list[Document], deployments: dict[str, Document]
) -> None:
    (scaler,) = [doc["spec"] for doc in documents if doc["kind"] == "HorizontalPodAutoscaler"]
    assert scaler["scaleTargetRef"]["name"] == "api"
    assert "replicas" not in deployments["api"]


@pytest.mark.parametrize("name", ["worker", "beat", "stream", "api"])
def test_pods_are_confined(
    name: str, deployments: dict[str, Document], containers: dict[str, Document]
) -> None:
    pod = deployments[name]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    confined = containers[name]["securityContext"]
    assert confined["readOnlyRootFilesystem"] is True
    assert confined["capabilities"] == {"drop": ["ALL"]}
    assert {mount["mountPath"] for mount in containers[name]["volumeMounts"]} == {"/data", "/tmp"}  # noqa: S108
