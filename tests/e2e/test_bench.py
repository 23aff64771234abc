"""`lookalike bench` as it is typed, on a folder, a feed and a bucket of real photos."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.settings import PREFIX
from tests.photos import FOLDER, photos

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        variables = {f"{PREFIX}{name}": value for name, value in settings.items()} | {"COLUMNS": "200"}
        ours = {f"{PREFIX}DATA_DIR": str(tmp_path / "data"), f"{PREFIX}ENCODER__RUNTIME": "torch"}
        command = [sys.executable, "-c", "from worker.cli import main; main()", "bench", "--seconds", "0.2"]
        return subprocess.run(  # noqa: S603  # our own command line
            [*command, *arguments],
            env={**os.environ, **ours, **variables},
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )

    return run


def measured(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    rates = {stage["name"]: stage["images_per_s"] for stage in found["stages"]}
    assert list(rates) == ["fetch", "decode", "device", "index"]
    assert found["verdict"]["bound_by"] == min(rates, key=lambda name: rates[name])
    assert found["whole"] > 0
    return found


def test_a_folder_is_measured_and_nothing_is_left(bench: Bench, tmp_path: Path) -> None:
    found = measured(bench("--images", str(FOLDER), "--json"))
    assert found["encoder"].startswith("compact-")
    assert [path.name for path in (tmp_path / "data").iterdir() if path.name.startswith("bench")] == []


def test_the_buckets_of_the_settings_are_measured_unasked(bench: Bench, s3: Any) -> None:
    for photo in photos()[:8]:
        s3.put(f"shoes/{photo.path.name}", photo.path.read_bytes())
    settings = {"S3__ENDPOINT_URL": s3.endpoint_url, "S3__BUCKETS": json.dumps([s3.bucket])}
    done = bench(**settings)
    assert done.returncode == 0, done.stderr
    assert "8 images" in done.stdout
    assert "bound by: " in done.stdout
    assert "bounds it" in done.stdout


def test_a_feed_is_measured(bench: Bench, s3: Any, tmp_path: Path) -> None:
    uris = [s3.put(photo.path.name, photo.path.read_bytes()) for photo in photos()[:4]]
    feed = tmp_path / "feed.jsonl"
    feed.write_text("".join(json.dumps({"id": uri, "images": [uri]}) + "\n" for uri in uris))
    settings = {"S3__ENDPOINT_URL": s3.endpoint_url, "S3__BUCKETS": json.dumps([s3.bucket])}
    found = measured(bench("--feed", str(feed), "--json", **settings))
    assert found["stages"][0]["how"].startswith("4 images")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "nothing to measure: name images"),
        (("--images", "a", "--feed", "b"), "give one"),
        (("--images", "nowhere"), "no images"),
    ],
)
def test_what_is_missing_is_one_clear_line(bench: Bench, arguments: tuple[str, ...], says: str) -> None:
    done = bench(*arguments)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_image_that_is_not_there_is_named(bench: Bench, s3: Any, tmp_path: Path) -> None:
    feed = tmp_path / "feed.jsonl"
    feed.write_text(json.dumps({"images": [f"s3://{s3.bucket}/gone.jpg"]}))
    settings = {"S3__ENDPOINT_URL": s3.endpoint_url, "S3__BUCKETS": json.dumps([s3.bucket])}
    done = bench("--feed", str(feed), **settings)
    assert done.returncode == 1
    assert "gone.jpg" in done.stderr
    assert "Traceback" not in done.stderr
