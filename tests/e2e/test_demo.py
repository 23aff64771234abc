"""The demo itself, small, on an encoder of random weights: everything arrives, whatever its quality."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from config.settings import PREFIX
from recommender.encoders.compact.model import CompactResNet


@pytest.mark.timeout(600)
def test_the_demo_prints_one_json_object_and_leaves_a_picture(tmp_path: Path) -> None:
    torch.manual_seed(7)
    weights = tmp_path / "random.safetensors"
    save_file(CompactResNet().state_dict(), weights)
    environment = {**os.environ, f"{PREFIX}ENCODER__WEIGHTS": str(weights), f"{PREFIX}ENCODER__THREADS": "2"}
    command = [
        sys.executable,
        "-c",
        "from worker.cli import main; main()",
        "demo",
        "--json",
        "--products",
        "60",
    ]
    ended = subprocess.run(  # noqa: S603
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    result = json.loads(ended.stdout)
    assert set(result) == {
        "products",
        "images",
        "indexed",
        "failed",
        "seconds",
        "images_per_s",
        "encoder",
        "device",
        "precision_at_10",
        "chance",
        "colour_histogram",
    }
    assert result["products"] == result["indexed"] == 60
    assert result["failed"] == 0
    assert 60 <= result["images"] <= 180
    assert result["encoder"].startswith("compact")
    for measured in ("precision_at_10", "chance", "colour_histogram"):
        assert set(result[measured]) == {"category", "category_colour"}
    good = all(
        result["precision_at_10"][what] > result[other][what]
        for other in ("chance", "colour_histogram")
        for what in ("category", "category_colour")
    )
    assert ended.returncode == (0 if good else 1), ended.stderr
    assert ("no better than" in ended.stderr) == (not good)
    with Image.open(tmp_path / "demo" / "similar.png") as sheet:
        assert sheet.width > 1000


@pytest.mark.timeout(300)
def test_ended_by_a_signal_it_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", "from worker.cli import main; main()", "demo", "--products", "60"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)  # noqa: S603
    while not list(temporary.glob("lookalike-demo-*/redis/redis.log")):
        assert process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.1)
    started = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    assert process.wait(200) == 128 + signal.SIGTERM
    assert list(temporary.iterdir()) == []
    while any(map(is_running, started)):  # the last of them end when they see that it did
        time.sleep(0.1)


def is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
