"""Every setting, typed, bounded and described; read once, in the composition roots.

Environment variables (or a `.env` file) with the prefix `LOOKALIKE_` and `__` between levels:
`LOOKALIKE_S3__ENDPOINT_URL` is `settings.s3.endpoint_url`.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from config.feed import FeedSettings
from config.gate_settings import GateSettings
from config.group import Group as _Group

PREFIX = "LOOKALIKE_"
FILTERABLE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Attributes of such a name, as a whole, can be filtered on; in the engines' paths it stands for itself."""
KEY_DIGEST = "sha256:"
"""Before an API key's digest in hexadecimal, where the key itself isn't to lie in the settings."""
_TEST_PREFIX = "LOOKALIKE_TEST_"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Storage = Literal["float32", "float16", "int8", "turboquant"]


class ConfigurationError(Exception):
    """A setting is wrong or missing; the message says which and what to do."""


class RedisSettings(_Group):
    """Broker, event stream and dead letters."""

    url: SecretStr | None = Field(
        None,
        description="redis:// or rediss:// URL, or sentinel://HOST:PORT;sentinel://...; "
        "`lookalike up` starts its own when unset",
    )
    sentinel_master: str | None = Field(None, description="name of the master that sentinel:// URLs ask for")
    key_prefix: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9:_-]{1,64}$",
        description="prefix of the queues' keys; producers set it too",
    )


def _filterable(names: tuple[str, ...]) -> tuple[str, ...]:
    refused = [name for name in names if not FILTERABLE_NAME.fullmatch(name)]
    if refused:
        raise ValueError(
            f"can't filter on {', '.join(map(repr, refused))}: "
            "a name that is declared here has 1 to 64 characters of A-Z a-z 0-9 _ -"
        )
    return names


class IndexSettings(_Group):
    """Where the vectors live."""

    url: str | None = Field(
        None,
        pattern=r"^(edge:.+|https?://.+)$",
        description="edge:PATH (embedded engine) or http(s)://HOST:PORT; edge:DATA_DIR/index if unset",
    )
    api_key: SecretStr | None = Field(None, description="API key of the Qdrant server")
    grpc_port: Port = Field(6334, description="gRPC port of the Qdrant server")
    timeout_s: Seconds = Field(10, description="deadline of one request to the server")
    attributes: Annotated[tuple[str, ...], AfterValidator(_filterable)] = Field(
        (), description="attributes that can be filtered on (a JSON list); indexed before points"
    )
    storage: Storage = Field(
        "float32",
        description="how a new collection keeps rows: float32, float16, or with codes (int8, turboquant)",
    )
    rescore: bool = Field(True, description="compare what codes find by the rows themselves, too")
    recall_sample: float = Field(
        0.01,
        ge=0,
        le=1,
        description="share of searches repeated exactly in the background, to measure recall",
    )
    tombstone_days: float = Field(
        30,
        ge=1,
        le=3650,
        description="how long a delete outvotes late events; older dead letters need --force",
    )


class EncoderSettings(_Group):
    """The model that turns images into vectors."""

    name: str = Field(
        "compact",
        description="what a new catalog begins with, by its name in the registry: compact, resnet50, ...",
    )
    weights: str | None = Field(
        None, description="local .safetensors or .pt file; the registry's own weights when unset"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one")
    runtime: Literal["auto", "torch", "onnxruntime", "openvino"] = Field(
        "auto",
        description="what runs the model; auto: the fastest here, measured at the first start",
    )
    precision: Literal["auto", "float32", "half", "int8"] = Field(
        "auto", description="auto: half on cuda, float32 on a CPU; int8 needs another collection"
    )
    calibration: Path | None = Field(
        None, description="folder of 16 or more typical product images, which int8 needs"
    )
    graphs: Path | None = Field(
        None, description="folder that exported models are kept in; DATA_DIR/graphs if unset"
    )
    max_batch_size: int = Field(32, ge=1, le=4096, description="images in one device batch, at most")
    threads: int | None = Field(None, ge=1, le=256, description="CPU threads of the forward pass")


class S3Settings(_Group):
    """The object store; credentials come by boto3's usual chain."""

    endpoint_url: str | None = Field(
        None, pattern=r"^https?://", description="endpoint of an S3-compatible store; AWS when unset"
    )
    region: str = Field("us-east-1", description="region of the buckets")
    buckets: tuple[str, ...] = Field(
        (), description="buckets that images and feeds may come from (a JSON list)"
    )
    timeout_s: Seconds = Field(10, description="deadline of one connect or read")


class ImageSettings(_Group):
    """What images may be, and where else they may come from."""

    https_hosts: tuple[str, ...] = Field(
        (), description="hosts that https:// images may come from (a JSON list)"
    )
    local_root: Path | None = Field(
        None, description="folder that file:// images may come from; for development"
    )
    max_bytes: int = Field(32 * 2**20, ge=1024, le=2**30, description="largest image file")
    max_pixels: int = Field(64_000_000, ge=1024, le=10**9, description="largest width x height")
    threads: int = Field(16, ge=1, le=256, description="images fetched and decoded at a time")


def _usable_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for key in (entry.get_secret_value() for entry in keys):
        if not key:
            raise ValueError("a key must not be empty")
        if key.startswith(KEY_DIGEST) and not re.fullmatch("[0-9a-f]{64}", key.removeprefix(KEY_DIGEST)):
            raise ValueError(
                f"after {KEY_DIGEST} come 64 hexadecimal digits, as `printf %s KEY | sha256sum` gives"
            )
    return keys


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    refused = [o for o in origins if o != "*" and not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", o)]
    if refused:
        raise ValueError(
            f"{', '.join(map(repr, refused))}: an origin is like https://shop.example, in small letters, "
            "with a port where it isn't the usual one, and without a path"
        )
    return origins


class ApiSettings(_Group):
    """The query API and the gallery."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8000, description="port to listen on; 0 takes a free one")
    keys: Annotated[tuple[SecretStr, ...], AfterValidator(_usable_keys)] = Field(
        (), description="API keys, or their sha256:HEX (a JSON list); required unless the host is loopback"
    )
    rate_per_s: float | None = Field(
        None, ge=0.001, le=1e6, description="requests a key may make in a second, counted in Redis; else any"
    )
    rate_burst: int = Field(20, ge=1, le=10**6, description="requests a rested key may make at once")
    max_in_hand: int = Field(
        64, ge=1, le=10_000, description="requests in hand at a time; any further one is told to come again"
    )
    deadline_s: Seconds = Field(20, description="longest that a request waits for its answer")
    cors_origins: Annotated[tuple[str, ...], AfterValidator(_origins)] = Field(
        (), description='origins of pages that may ask from a browser (a JSON list); ["*"]: any'
    )
    max_upload_bytes: int = Field(16 * 2**20, ge=1024, le=2**30, description="largest uploaded photo")


class WorkerSettings(_Group):
    """The Celery worker."""

    concurrency: int = Field(8, ge=1, le=1024, description="messages in hand at a time, in threads")
    all_in_one: bool = Field(
        False, description="run stream consumer and schedule in the worker too; `up` sets it"
    )
    retry_delay_s: Seconds = Field(5, description="pause before a passing failure is tried again")
    max_attempts: int = Field(5, ge=1, le=100, description="attempts for a failure of unknown kind")
    deadline_s: Seconds = Field(
        300, description="longest that a message may go without progress; its process is ended then"
    )
    grace_s: Seconds = Field(60, description="longest that a worker takes to end after SIGTERM")
    dead_letters_alarm: int = Field(
        10_000, ge=1, description="number of dead letters from which every arrival is logged as an error"
    )
    flag_duplicates: float | None = Field(
        None,
        ge=0.5,
        le=1,
        description="cosine from which a product with new photos is flagged as a duplicate; none if unset",
    )
    metrics_port: Port | None = Field(
        None, description="port of /metrics where worker or stream consumer run without the API"
    )


class LogSettings(_Group):
    """Logs: events and fields."""

    format: Literal["console", "json"] = Field("console", description="json: one object a line")
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="lowest level")


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",  # a .env file may serve other programs too; load_settings refuses our own typos
        hide_input_in_errors=True,
    )

    catalog: str = Field(
        "lookalike",
        pattern=r"^[a-z][a-z0-9_-]{0,39}$",
        description="collection prefix, Redis key prefix and namespace of the point ids",
    )
    data_dir: Path = Field(Path("data"), description="folder of everything that is kept locally")
    redis: RedisSettings = RedisSettings()
    index: IndexSettings = IndexSettings()
    encoder: EncoderSettings = EncoderSettings()
    s3: S3Settings = S3Settings()
    images: ImageSettings = ImageSettings()
    api: ApiSettings = ApiSettings()
    worker: WorkerSettings = WorkerSettings()
    feed: FeedSettings = FeedSettings()
    gate: GateSettings = GateSettings()
    log: LogSettings = LogSettings()

    @field_validator("encoder")
    @classmethod
    def _graphs_lie_in_data_dir(cls, encoder: EncoderSettings, info: ValidationInfo) -> EncoderSettings:
        """Fill in `encoder.graphs`, which `data_dir`, validated before, knows."""
        if encoder.graphs is not None or "data_dir" not in info.data:
            return encoder
        return encoder.model_copy(update={"graphs": info.data["data_dir"] / "graphs"})

    @property
    def index_url(self) -> str:
        """`index.url`, or the embedded engine below `data_dir`."""
        return self.index.url or f"edge:{self.data_dir / 'index'}"

    @property
    def index_is_embedded(self) -> bool:
        """Whether one process owns the index, and the others ask it."""
        return self.index_url.startswith("edge:")

    @property
    def redis_url(self) -> str:
        """The URL, with its password.

        Raises:
            ConfigurationError: none is set.
        """
        if self.redis.url is None:
            raise ConfigurationError(f"{PREFIX}REDIS__URL is not set: name a Redis, or use `lookalike up`")
        return self.redis.url.get_secret_value()


def load_settings() -> Settings:
    """Read the environment and `.env`.

    Raises:
        ConfigurationError: a value is out of bounds, or a variable with our prefix is unknown.
    """
    in_file = (name.upper() for name in DotEnvSettingsSource(Settings).env_vars)
    unknown = {name for name in (*os.environ, *in_file) if name.startswith(PREFIX) and not _is_known(name)}
    if unknown:
        raise ConfigurationError(f"unknown settings in the environment or .env: {', '.join(sorted(unknown))}")
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{PREFIX}{'__'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
            for item in error.errors(include_input=False)
        ]
        raise ConfigurationError("\n".join(lines)) from error


def variable_names() -> list[str]:
    """Every environment variable that is read, in the order of the tree."""
    names = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, _Group):
            names += [f"{PREFIX}{name}__{inner}".upper() for inner in kind.model_fields]
        else:
            names.append(f"{PREFIX}{name}".upper())
    return names


def _is_known(name: str) -> bool:
    groups = {n.rpartition("__")[0] for n in variable_names() if "__" in n}
    return name.startswith(_TEST_PREFIX) or name in variable_names() or name in groups
