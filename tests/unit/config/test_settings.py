import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.settings import PREFIX, ConfigurationError, Settings, load_settings, variable_names
from tests.conftest import MakeSettings

EXAMPLE = Path(__file__).parents[3] / ".env.example"


@pytest.fixture(autouse=True)
def _no_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_environment_is_read_into_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_S3__BUCKETS", '["a", "b"]')
    monkeypatch.setenv("LOOKALIKE_API__PORT", "0")
    settings = load_settings()
    assert settings.s3.buckets == ("a", "b")
    assert settings.api.port == 0


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOOKALIKE_CATALOG=from-file\nLOOKALIKE_API__PORT=1\n")
    monkeypatch.setenv("LOOKALIKE_CATALOG", "from-environment")
    assert (load_settings().catalog, load_settings().api.port) == ("from-environment", 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CATALOG", "Not Allowed"),
        ("API__PORT", "65536"),
        ("API__MAX_UPLOAD_BYTES", "1"),
        ("ENCODER__MAX_BATCH_SIZE", "0"),
        ("ENCODER__DEVICE", "tpu"),
        ("IMAGES__THREADS", "257"),
        ("INDEX__URL", "localhost:6333"),
        ("INDEX__TIMEOUT_S", "0"),
        ("S3__ENDPOINT_URL", "localhost:9000"),
        ("S3__BUCKETS", '{"not": "a list"}'),
        ("WORKER__MAX_ATTEMPTS", "101"),
        ("FEED__ALLOWED", '["s3://shop"]'),
        ("LOG__LEVEL", "LOUD"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigurationError, match=PREFIX + name.rpartition("__ALLOWED")[0] or name):
        load_settings()


@pytest.mark.parametrize("name", ["LOOKALIKE_APY__PORT", "LOOKALIKE_API__PROT", "LOOKALIKE_PORT"])
def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOOKALIKE_API__PROT=1\n")
    with pytest.raises(ConfigurationError, match="API__PROT"):
        load_settings()


@pytest.mark.parametrize("name", ["LOOKALIKE_PORT", "LOOKALIKE_APY__PORT", "lookalike_port"])
def test_an_unknown_name_at_the_root_of_the_file_is_refused_too(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"{name}=1\n")
    with pytest.raises(ConfigurationError, match=name.upper()):
        load_settings()


def test_variables_of_others_in_the_file_are_let_be(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AWS_ACCESS_KEY_ID=key\nexport PATH_TO=x\nLOOKALIKE_API__PORT=7\n")
    assert load_settings().api.port == 7


@pytest.mark.parametrize("name", ["Größe", "shoe size", "care.wash", 'a"b', "a[]", "", "x" * 65, "colour\n"])
def test_an_attribute_that_can_not_be_filtered_on_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LOOKALIKE_INDEX__ATTRIBUTES", json.dumps(["heel-mm", name]))
    with pytest.raises(ConfigurationError, match=r"LOOKALIKE_INDEX__ATTRIBUTES: .*can't filter on") as caught:
        load_settings()
    assert f"{name!r}:" in str(caught.value)


def test_names_for_tests_are_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_TEST_QDRANT_URL", "http://127.0.0.1:6333")
    assert load_settings().index.url is None


def test_a_wrong_secret_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_API__KEYS", '{"hunter2": 1}')
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_shown(make_settings: MakeSettings) -> None:
    settings = make_settings(api={"keys": ["hunter2"]}, redis={"url": "redis://:hunter2@host/0"})
    assert "hunter2" not in repr(settings)
    assert settings.redis_url == "redis://:hunter2@host/0"


def test_a_missing_redis_says_what_to_do(make_settings: MakeSettings) -> None:
    with pytest.raises(ConfigurationError, match="LOOKALIKE_REDIS__URL"):
        _ = make_settings().redis_url


def test_settings_are_frozen(make_settings: MakeSettings) -> None:
    settings = make_settings()
    with pytest.raises(ValidationError):
        settings.catalog = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.api.port = 1  # type: ignore[misc]


def test_the_index_lies_below_the_data_folder_unless_named(make_settings: MakeSettings) -> None:
    assert make_settings(data_dir=Path("/srv/shop")).index_url == "edge:/srv/shop/index"
    named = make_settings(index={"url": "http://qdrant:6333"})
    assert (named.index_url, named.index_is_embedded) == ("http://qdrant:6333", False)


def test_graphs_lie_below_the_data_folder_unless_named(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"{PREFIX}ENCODER__GRAPHS")
    assert make_settings(data_dir=Path("/srv/shop")).encoder.graphs == Path("/srv/shop/graphs")
    named = make_settings(encoder={"graphs": "/srv/graphs", "threads": 2}).encoder
    assert (named.graphs, named.threads) == (Path("/srv/graphs"), 2)


def test_a_scheduled_feed_must_be_allowed(make_settings: MakeSettings) -> None:
    with pytest.raises(ValidationError, match="scheduled"):
        make_settings(feed={"allowed": ["s3://shop/"], "scheduled": "s3://other/feed.jsonl"})


@pytest.mark.parametrize("key", ["", "sha256:", "sha256:abc", f"sha256:{'A' * 64}", f"sha256:{'a' * 65}"])
def test_a_key_that_could_never_be_given_is_refused(make_settings: MakeSettings, key: str) -> None:
    with pytest.raises(ValidationError, match="keys"):
        make_settings(api={"keys": ["first", key]})
    make_settings(api={"keys": ["first", f"sha256:{'a' * 64}"]})


def _example() -> dict[str, tuple[str, str]]:
    """Name: (the comment above it, the value) of every variable of the example file, in order."""
    found, comment = {}, ""
    for line in EXAMPLE.read_text().splitlines():
        if line.startswith(f"#{PREFIX}"):
            name, _, value = line[1:].partition("=")
            found[name] = (comment, value)
        comment = line.removeprefix("# ")
    return found


def _described() -> dict[str, str]:
    described: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        inner: dict[str, Any] = getattr(field.annotation, "model_fields", {})
        own = {f"{name}__{key}": value for key, value in inner.items()} or {name: field}
        described |= {f"{PREFIX}{key}".upper(): value.description for key, value in own.items()}
    return described


def test_the_example_names_every_setting_and_nothing_else() -> None:
    assert sorted(_example()) == sorted(variable_names())


def test_the_example_says_what_the_model_says() -> None:
    assert {name: comment for name, (comment, _) in _example().items()} == _described()


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    lines = [f"{name}={value}" for name, (_, value) in _example().items() if value]
    (tmp_path / ".env").write_text("\n".join(lines))
    assert load_settings() == Settings(_env_file=None)


def test_the_example_leaves_empty_only_what_has_no_default() -> None:
    defaults = Settings(_env_file=None).model_dump()
    for name, (_, value) in _example().items():
        path = name.removeprefix(PREFIX).lower().split("__")
        default = defaults[path[0]][path[1]] if len(path) == 2 else defaults[path[0]]
        assert (value == "") == (default is None), name
