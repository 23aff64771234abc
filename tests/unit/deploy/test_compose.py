"""compose.yaml: against the compose-spec schema, and against what the processes really read and need."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from config.settings import WorkerSettings, variable_names

OURS = {"buckets", "worker", "beat", "stream", "api"}
_INTERPOLATION = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")
_SECONDS = {"s": 1, "m": 60}


@pytest.fixture(scope="module")
def services(deploy: Path, read_yaml: Callable[[Path], list[Any]]) -> dict[str, Any]:
    (compose,) = read_yaml(deploy / "compose.yaml")
    services: dict[str, Any] = compose["services"]
    return services


@pytest.fixture(scope="module")
def environment_file(deploy: Path) -> dict[str, str]:
    """example.env, filled in, with the lines uncommented that it suggests."""
    found = {}
    for line in (deploy / "example.env").read_text().splitlines():
        if match := re.fullmatch(r"(?:# )?([A-Z][A-Z0-9_]+)=(.*)", line):
            found[match.group(1)] = match.group(2).strip("'") or "secret"
    return found | {"LOOKALIKE_API__KEYS": '["secret"]'}


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    def value(match: "re.Match[str]") -> str:
        name, operator, default = match.groups()
        if operator == ":-":
            return variables.get(name) or default
        return variables[name]

    return _INTERPOLATION.sub(value, text)


def seconds(duration: str) -> int:
    return int(duration[:-1]) * _SECONDS[duration[-1]]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_the_schema_holds(deploy: Path, name: str) -> None:
    executable = Path(sys.executable).with_name("check-jsonschema")
    command = [executable, "--builtin-schema", "vendor.compose-spec", deploy / name]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert found.returncode == 0, found.stdout


def test_every_image_has_a_pinned_tag(services: dict[str, Any]) -> None:
    assert all(re.search(r":v?\d+\.\d+[\w.-]*$", service["image"]) for service in services.values())


def test_every_variable_is_a_setting(deploy: Path, named_variables: Callable[[Path], set[str]]) -> None:
    for name in ("compose.yaml", "compose.gpu.yaml", "example.env", "create_buckets.py", "Dockerfile"):
        assert named_variables(deploy / name) <= set(variable_names()), name


@pytest.mark.parametrize("name", sorted(OURS - {"buckets"}))
def test_commands_name_what_exists(
    name: str, services: dict[str, Any], check_command: Callable[[list[str]], None]
) -> None:
    check_command(services[name]["command"])


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_process_can_read_its_settings(
    name: str,
    services: dict[str, Any],
    environment_file: dict[str, str],
    settings_of: Callable[[Mapping[str, Any]], Any],
) -> None:
    given = {key: value for key, value in environment_file.items() if key.startswith("LOOKALIKE_")}
    for key, value in services[name]["environment"].items():
        given[key] = interpolate(str(value), environment_file)
    settings = settings_of(given)
    assert settings.redis_url == "redis://:secret@redis:6379/0"
    assert settings.index_url == "http://qdrant:6333"
    assert not settings.index_is_embedded
    assert settings.s3.buckets == ("shop-images", "shop-feeds")
    assert settings.feed.scheduled == "s3://shop-feeds/catalog.jsonl"


def test_there_is_a_bucket_without_a_setting(services: dict[str, Any]) -> None:
    named = services["worker"]["environment"]["LOOKALIKE_S3__BUCKETS"]
    assert interpolate(named, {}) == '["shop-images"]'


def test_secrets_have_no_default_and_are_asked_for(deploy: Path) -> None:
    text = (deploy / "compose.yaml").read_text()
    asked = {name for name, operator, _ in _INTERPOLATION.findall(text) if operator == ":?"}
    blank = set(re.findall(r"^(\w+)=$", (deploy / "example.env").read_text(), re.MULTILINE))
    assert asked == blank
    assert asked == {
        "REDIS_PASSWORD",
        "QDRANT_API_KEY",
        "S3_ACCESS_KEY",
        "S3_SECRET_KEY",
        "LOOKALIKE_API__KEYS",
    }


def test_the_worker_may_finish_what_it_has_in_hand(services: dict[str, Any]) -> None:
    assert seconds(services["worker"]["stop_grace_period"]) > WorkerSettings().grace_s


def test_redis_keeps_what_it_acknowledged(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "everysec"
    assert options["--maxmemory-policy"] == "noeviction"
    assert services["redis"]["volumes"] == ["redis:/data"]


def test_qdrant_knows_conditional_writes(services: dict[str, Any]) -> None:
    tag = services["qdrant"]["image"].rpartition(":v")[2]
    assert tuple(int(part) for part in tag.split(".")) >= (1, 17, 0)


def test_services_wait_for_health_only_where_it_is_checked(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, condition in service.get("depends_on", {}).items():
            healthcheck = services[name].get("healthcheck", {})
            checked = "test" in healthcheck
            assert condition["condition"] == (
                "service_healthy" if checked else "service_completed_successfully"
            )


def test_what_must_stay_is_restarted(services: dict[str, Any]) -> None:
    assert {name: service["restart"] for name, service in services.items()} == {
        **dict.fromkeys(services, "unless-stopped"),
        "buckets": "on-failure",
    }


def test_nothing_is_published_beyond_this_machine(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_gpu_file_overrides_the_worker_alone(
    deploy: Path, services: dict[str, Any], read_yaml: Callable[[Path], list[Any]]
) -> None:
    (override,) = read_yaml(deploy / "compose.gpu.yaml")
    assert set(override["services"]) == {"worker"}
    worker = override["services"]["worker"]
    assert worker["image"] == services["worker"]["image"].replace("-cpu", "-cuda")
    assert worker["build"]["args"] == {"VARIANT": "cuda"}
