"""The settings by group; in the environment each has `AFM_` before its name."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from service.redis_url import checked_redis_url

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


def _local_directory(path: Path) -> Path:
    if ":/" in str(path):
        raise ValueError("a directory is needed, not a URL")
    return path


class StoreSettings(BaseSettings):
    """Where versions are, and which model is served."""

    home: Path = Path(".afm")
    """Where the embedded Redis keeps its data, and published bundles are."""

    redis_url: Annotated[str, AfterValidator(checked_redis_url)] | None = None
    """The Redis to use; none means an embedded one under `home`."""

    redis_url_file: Path | None = None
    """A file that holds the Redis URL, read again for each connection, so that a password is
    changed without a restart; instead of `redis_url`.
    """

    bundles: Annotated[Path, AfterValidator(_local_directory)] | None = None
    """The bundle store: a directory; none means `bundles` under `home`."""

    model: str = Field(default="default", pattern=NAME)
    """The model that is served, and whose versions the commands speak of."""

    example: bool = False
    """Serve the made-up example, the model `example`, until `model` has a version of its own."""


class PublishSettings(BaseSettings):
    """What `afm-serve publish` refuses, keeps and leaves in Redis."""

    remote_fields_above: int | None = Field(default=None, ge=0)
    """`publish` leaves the values of a categorical context field that has more values than this
    in Redis, where the service looks them up; none holds all values in memory.
    """

    gate_max_calibration_ratio: float = Field(default=1.2, gt=1)
    """`publish` refuses a bundle whose mean probability is larger than the click rate by more
    than this factor, or smaller by more than it.
    """

    gate_max_loss_increase: float = Field(default=0.01, ge=0)
    """`publish` refuses a bundle whose loss is larger than the active version's by more than
    this share of it, and by more than few rows explain: two fits of one log differ by as much.
    """

    keep_versions: int | None = Field(default=None, ge=1)
    """`publish` removes all but so many latest versions, except those that are live; none keeps
    all.
    """


class ListenSettings(BaseSettings):
    """Where the service listens, and with how many processes."""

    host: str = "127.0.0.1"
    """The address to listen on: a name, an address, or `unix:/path` for a socket there."""

    published_host: str | None = None
    """The address at which others reach `host`, such as the one that a container's port is
    published on; none means `host` itself.
    """

    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""

    root_path: str | None = Field(default=None, pattern=r"^(/[A-Za-z0-9._~-]+)+$")
    """A prefix before every path, as `/ctr`, of a proxy that leaves it there; without it the
    paths are there as well.
    """

    tls_cert: Path | None = None
    """A certificate in PEM, with its chain: HTTPS, and nothing else."""

    tls_key: Path | None = None
    """The key of the certificate, without a password."""

    artf: str | None = Field(default=None, pattern=r"^(unix:/\S+|\S+:[1-9]\d{0,4})$")
    """Answer the IAB's ARTF over gRPC at `HOST:PORT` or `unix:/path` as well; none does not."""

    workers: int = Field(default=1, ge=1, le=256)
    """The processes that serve; each scores on one core."""


class AccessSettings(BaseSettings):
    """Who may ask."""

    api_keys: Path | None = None
    """A file of hashed API keys (`afm-serve key`), or a folder with a file `keys`; none needs
    no key.
    """

    allow_anonymous: bool = False
    """Listen on an address that other machines reach although no API key is needed."""

    cors_origins: str | None = None
    """Origins whose pages may ask from a browser: `https://demo.example,https://other.example`,
    or `*`.
    """


class RequestSettings(BaseSettings):
    """How large and how late one request may be."""

    max_body_bytes: int = Field(default=8 << 20, ge=1)
    """A larger request body gets 413."""

    max_rows: int = Field(default=5000, ge=1)
    """A /predict of more rows gets 413, and so does an /explain of more than 1000: to explain a row
    takes about 100 times as long. Requests beyond four times as many rows in flight get 429.
    """

    max_head_bytes: int = Field(default=16 << 10, ge=256)
    """A request whose first line and headers are longer gets 431; the query is in the first
    line.
    """

    timeout_ms: float | None = Field(default=None, gt=0, le=86_400_000)
    """The deadline of a request that names none; none means that it waits for its answer."""

    remote_timeout_ms: float = Field(default=5.0, gt=0)
    """How long a request waits for values that stay in Redis; then they count as unknown."""


class ConnectionSettings(BaseSettings):
    """How many connections there may be, and how slow."""

    max_connections: int | None = Field(default=None, ge=1)
    """Connections of one worker; for one more, the oldest that waits for a request is closed.
    None means half of the files that a process may open, and 10000 at most.
    """

    client_timeout_seconds: float = Field(default=20.0, gt=0, le=3600)
    """How long a client may take to send a request, and to read its answer."""

    keep_alive_seconds: int = Field(default=75, ge=1, le=86_400)
    """How long a connection may wait for its next request."""


class OverloadSettings(BaseSettings):
    """What is refused in overload."""

    max_wait_ms: float = Field(default=100, gt=0)
    """The longest estimated time in the queue. A request that would wait longer, and longer
    than its own rows take, gets 429.
    """

    overload_status: Literal["429", "503"] = "429"
    """The status of what is refused in overload: 503 for balancers that then ask another server."""


class MemorySettings(BaseSettings):
    """What a worker keeps of requests."""

    ad_cache_bytes: int = Field(default=64 << 20, ge=0)
    """The approximate memory for ads that a worker keeps encoded; 0 keeps none. Two versions
    are held, so reckon with twice that.
    """


class ShadowSettings(BaseSettings):
    """How a new version is judged on recent requests before it goes live."""

    shadow_requests: int = Field(default=200, ge=0, le=10_000)
    """How many of its last requests a worker scores with a new version and the live one before
    the new one goes live; 0 judges nothing.
    """

    shadow_max_mean_ratio: float = Field(default=1.25, gt=1)
    """A version is refused whose mean probability on these requests differs from the live one's
    by more than this factor.
    """

    shadow_max_latency_ratio: float = Field(default=1.5, gt=1)
    """How many times as long as the live version it may take to score, beyond
    `shadow_min_latency_ms`.
    """

    shadow_min_latency_ms: float = Field(default=2.0, ge=0)
    """Milliseconds that it may take to score a request, however little the live version takes."""


class StopSettings(BaseSettings):
    """How a worker stops."""

    drain_seconds: float = Field(default=15.0, ge=0, le=300)
    """Seconds between SIGTERM and the end of accepting requests; `/readyz` answers 503
    meanwhile. Longer than the balancer takes to notice.
    """


class ObservationSettings(BaseSettings):
    """What else is kept or sent of requests; all of it is off by default."""

    server_timing: bool = False
    """Answers of what scores say in `server-timing` what each stage took, in milliseconds."""

    traces: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """The OTLP endpoint that traces are sent to, as `http://collector:4318/v1/traces`; none sends
    none.
    """

    traces_share: float = Field(default=0.01, ge=0, le=1)
    """The share of requests that are traced, of those without a `traceparent`; for the others its
    flag counts.
    """

    prediction_log: Annotated[Path, AfterValidator(_local_directory)] | None = None
    """A folder for a sample of rows and their scores, as JSON lines without private fields; none
    keeps none.
    """

    prediction_log_share: float = Field(default=0.01, gt=0, le=1)
    """The share of requests that are logged there."""


class LogSettings(BaseSettings):
    """What is logged."""

    access_log: bool = False
    """One line for each request, by its end: status, route, seconds, rows, and what the caller
    finds it by (`x-request-id`, `traceparent`); no values.
    """

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged; debug shows what libraries say as well; never the values
    of a request.
    """

    log_format: Literal["json", "console"] = "json"
    """Logs for programs or for people."""
