"""The image: linted, pinned, built from what .dockerignore lets through. No engine builds it here."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet


@pytest.fixture(scope="module")
def dockerfile(deploy: Path) -> str:
    return (deploy / "Dockerfile").read_text()


def hadolint(path: Path) -> "subprocess.CompletedProcess[str]":
    executable = Path(sys.executable).with_name("hadolint")
    return subprocess.run([executable, "--no-color", path], capture_output=True, text=True, check=False)  # noqa: S603


def test_the_linter_finds_nothing(deploy: Path) -> None:
    found = hadolint(deploy / "Dockerfile")
    assert found.returncode == 0, found.stdout


def test_the_linter_would_find_something(dockerfile: str, tmp_path: Path) -> None:
    careless = tmp_path / "Dockerfile"
    careless.write_text(dockerfile.replace("python:3.11.14-slim-trixie", "python"))
    assert hadolint(careless).returncode != 0


def test_base_images_have_a_pinned_tag_that_the_project_supports(root: Path, dockerfile: str) -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.MULTILINE)
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    outside = [base for base in bases if base not in stages and not base.startswith("torch-$")]
    assert outside == ["python:3.11.14-slim-trixie"]
    supported = tomllib.loads((root / "pyproject.toml").read_text())["project"]["requires-python"]
    assert SpecifierSet(supported).contains("3.11.14")


def test_there_is_a_stage_for_each_variant(dockerfile: str) -> None:
    assert "FROM torch-${VARIANT} AS packages" in dockerfile
    assert set(re.findall(r" AS torch-(\w+)", dockerfile)) == {"cpu", "cuda"}


def test_the_cpu_variant_takes_torch_in_the_versions_of_the_lock(root: Path, dockerfile: str) -> None:
    script = re.search(r"sed -nE '(.+?)'", dockerfile)
    assert script is not None
    command = ["sed", "-nE", script.group(1), root / "requirements.lock"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603
    assert [line.partition("==")[0] for line in found] == ["torch", "torchvision"]
    assert all(re.fullmatch(r"\w+==\d+\.\d+\.\d+", line) for line in found)


def test_everything_that_is_copied_is_there_and_passes_dockerignore(root: Path, dockerfile: str) -> None:
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    }
    rules = [line for line in (root / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert all((root / source).exists() for source in copied)


def test_all_that_the_wheel_packs_is_copied(root: Path, dockerfile: str) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert all(f"COPY {package} {package}\n" in dockerfile for package in packages)
    assert f" {project['project']['readme']} " in dockerfile


def test_the_process_is_an_ordinary_user(dockerfile: str) -> None:
    final = dockerfile.rpartition("\nFROM ")[2]
    assert "\nUSER 10001:10001\n" in final
    assert "useradd --uid 10001" in final


def test_the_tag_is_the_version_of_the_project(root: Path, deploy: Path) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    files = [path for path in deploy.rglob("*") if path.is_file()]
    tags = {tag for path in files for tag in re.findall(r"\blookalike:([\w.]+)-c", path.read_text())}
    assert tags == {version}
