"""The step that creates the buckets, against S3 over HTTP."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_missing_buckets_are_created_and_a_second_run_changes_nothing(
    deploy: Path, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_S3__ENDPOINT_URL", s3.endpoint_url)
    monkeypatch.setenv("LOOKALIKE_S3__BUCKETS", f'["{s3.bucket}", "shop-feeds"]')
    for _ in range(2):
        command = [sys.executable, deploy / "create_buckets.py"]
        subprocess.run(command, check=True, cwd=tmp_path)  # noqa: S603
        found = {bucket["Name"] for bucket in s3.client.list_buckets()["Buckets"]}
        assert found == {s3.bucket, "shop-feeds"}
