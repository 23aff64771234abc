import shutil
from pathlib import Path

import httpx
import pytest

from tests.benchmarks.pictures import evenly
from tests.benchmarks.store import running_store


def test_without_nginx_the_stand_in_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(b"picture")
    monkeypatch.setattr("tests.benchmarks.store.shutil.which", lambda *_, **__: None)
    with running_store(tmp_path, tmp_path) as store:
        assert store.kind.startswith("stand-in")
        assert httpx.get(f"{store.endpoint_url}/a.jpg").content == b"picture"
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{store.endpoint_url}/a.jpg")


@pytest.mark.parametrize("nginx", [True, False])
def test_a_download_is_told_from_an_unchanged_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, nginx: bool
) -> None:
    if nginx and not shutil.which("nginx", path="/usr/bin:/usr/sbin:/usr/local/sbin"):
        pytest.skip("no nginx here")
    if not nginx:
        monkeypatch.setattr("tests.benchmarks.store.shutil.which", lambda *_, **__: None)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.jpg").write_bytes(b"picture")
    with running_store(tmp_path / "root", tmp_path / "scratch") as store, httpx.Client() as client:
        etag = client.get(f"{store.endpoint_url}/a.jpg").headers["ETag"]
        client.get(f"{store.endpoint_url}/a.jpg", headers={"If-None-Match": etag})
        client.get(f"{store.endpoint_url}/a.jpg", headers={"If-None-Match": etag})
        client.get(f"{store.endpoint_url}/gone.jpg")
        assert store.answered() == {"200": 1, "304": 2, "404": 1}


def test_photos_are_taken_from_the_whole_range() -> None:
    paths = [Path(f"{number}.jpg") for number in range(10)]
    assert evenly(paths, 3) == [paths[0], paths[3], paths[6]]
    assert evenly(paths, 99) == paths
