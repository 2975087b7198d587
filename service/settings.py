"""The service's settings: one frozen object, made at the rim and passed in; in the environment each
has `AFM_` before its name.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import redis
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import SettingsError
from service.limits import InputLimits
from service.runtime import open_files_limit
from service.setting_names import check_names

MOST_CONNECTIONS = 10_000
LEAST_AT_ONCE = 256 << 10  # bytes of JSON that are read in one go, however small bodies must be
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


def without_password(url: str) -> str:
    """A Redis URL as it may be shown."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "(not a URL)"
    # the last @, since a password may hold any character, and people forget to escape it
    login, at, place = rest.rpartition("@")
    user = login.partition(":")[0]
    place = place.partition("?")[0]  # redis-py takes a password from there as well
    return f"{scheme}://{user}{at if user else ''}{place}"


def checked_redis_url(url: str) -> str:
    """The URL.

    Raises:
        ValueError: it is not one; without its text, which may hold a password.
    """
    try:
        redis.Redis.from_url(url).close()  # parses, and does not connect
    except ValueError:  # whose text may hold a part of the password
        raise ValueError(
            "not a Redis URL: redis://user:password@host:6379/0, rediss:// or unix://, "
            "with special characters percent-encoded"
        ) from None
    return url


def _local_directory(path: Path) -> Path:
    if ":/" in str(path):
        raise ValueError("a directory is needed, not a URL")
    return path


class CacheLimits(NamedTuple):
    """How many ads a cache may hold, and in about how many bytes; 0 of either keeps none."""

    entries: int
    bytes: int


NO_CACHE = CacheLimits(0, 0)


class ShadowLimits(NamedTuple):
    """What a version may differ by from the live one on the last `requests` requests; 0 of them:
    nothing is judged.

    `mean`: the ratio of mean probabilities lies within 1 / mean and mean. `rank`: least rank
    correlation (Spearman). `unknown`: how much larger the share of unknown values may be.
    `latency`: how many times the time to score; up to `latency_ms` milliseconds a request it may
    take whatever the live one takes.
    """

    requests: int
    mean: float = 1.25
    rank: float = 0.5
    unknown: float = 0.1
    latency: float = 1.5
    latency_ms: float = 2.0


NO_SHADOW = ShadowLimits(0)


class Settings(BaseSettings):
    """All settings of `afm-serve`; every command reads the same ones."""

    model_config = SettingsConfigDict(
        env_prefix="AFM_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        protected_namespaces=(),
    )

    home: Path = Path(".afm")
    """Where the embedded Redis keeps its data, and published bundles are."""

    redis_url: Annotated[str, AfterValidator(checked_redis_url)] | None = None
    """The Redis to use; none means an embedded one under `home`."""

    redis_url_file: Path | None = None
    """A file that holds the Redis URL, read again for each connection, so that a password is
    changed without a restart; instead of `redis_url`.
    """

    redis_timeout_ms: int = Field(default=1000, ge=1)
    """How long one Redis command, or connecting, may take."""

    model: str = Field(default="default", pattern=NAME)
    """The model that is served, and whose versions the commands speak of."""

    example: bool = False
    """Serve the made-up example, the model `example`, until `model` has a version of its own."""

    bundles: Annotated[Path, AfterValidator(_local_directory)] | None = None
    """The bundle store: a directory; none means `bundles` under `home`."""

    live_above: int | None = Field(default=None, ge=0)
    """`publish` leaves the values of a categorical context field with more of them in Redis, where
    the service looks them up; none holds all in memory.
    """

    live_timeout_ms: float = Field(default=5.0, gt=0)
    """How long a request waits for such values; then they count as unknown."""

    gate_calibration: float = Field(default=1.2, gt=1)
    """`publish` refuses probabilities that sum to more clicks than this many times the real ones,
    or to less than the real ones over it.
    """

    gate_loss: float = Field(default=0.01, ge=0)
    """`publish` refuses a bundle whose loss is larger than the active version's by more than this
    share of it, beyond the luck of few rows: two fits of one log differ by as much.
    """

    keep_versions: int | None = Field(default=None, ge=1)
    """`publish` removes the versions beyond so many latest ones that nobody answers by; none keeps
    all.
    """

    host: str = "127.0.0.1"
    """The address to listen on: a name, an address, or `unix:/path` for a socket there."""

    root_path: str | None = Field(default=None, pattern=r"^(/[A-Za-z0-9._~-]+)+$")
    """A prefix before every path, as `/ctr`, of a proxy that leaves it there; without it the paths
    are there as well.
    """

    tls_cert: Path | None = None
    """A certificate in PEM, with its chain: HTTPS, and nothing else."""

    tls_key: Path | None = None
    """Its key, without a password."""

    cors_origins: str | None = None
    """Pages that may ask from a browser: `https://demo.example,https://other.example`, or `*`."""

    published_host: str | None = None
    """The address at which others reach `host`, such as the one that a container's port is
    published on; none means `host` itself.
    """

    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""

    api_keys: Path | None = None
    """A file of hashed API keys (`afm-serve key`), or a folder with a file `keys`; none lets in
    whoever reaches the address.
    """

    allow_anonymous: bool = False
    """Listen beyond this machine although no API key is asked for."""

    workers: int = Field(default=1, ge=1, le=256)
    """Processes that serve; each scores on one core."""

    max_body_bytes: int = Field(default=8 << 20, ge=1)
    """A larger request body gets 413."""

    max_rows: int = Field(default=5000, ge=1)
    """A /predict of more rows gets 413."""

    max_explain_rows: int = Field(default=1000, ge=1)
    """An /explain of more rows gets 413; an explained row is a hundred times as dear."""

    max_whatif_rows: int = Field(default=100_000, ge=1000)
    """How many changed rows one /whatif may have scored, behind other requests; of fields with more
    values it takes the most frequent ones, and says how many it left out.
    """

    gzip_bytes: int = Field(default=16_384, ge=0)
    """Answers of at least so many bytes are gzip where the caller takes it; 0 for none."""

    max_connections: int | None = Field(default=None, ge=1)
    """Connections of one worker; for one more, the oldest that waits for a request is closed. None
    means half of the files that a process may open, and 10000 at most.
    """

    max_head_bytes: int = Field(default=16 << 10, ge=256)
    """A request of a longer line (the query is in it) and headers gets 431."""

    max_depth: int = Field(default=16, ge=4)
    """JSON that is nested deeper gets 422."""

    max_keys: int = Field(default=1000, ge=1)
    """A row, or a context, of more keys gets 422."""

    max_text_length: int = Field(default=16_384, ge=1)
    """A longer text, in characters, gets 422."""

    max_list_length: int = Field(default=1000, ge=1)
    """A value that is a longer list gets 422."""
    timeout_ms: float | None = Field(default=None, gt=0, le=86_400_000)
    """The deadline of a request that names none; none means that it waits for its answer."""

    max_wait_ms: float = Field(default=100, gt=0)
    """A request that would wait longer for others, and longer than its own rows take, is refused,
    judged by the rows in flight and by what rows took of late.
    """

    max_rows_in_flight: int = Field(default=20_000, ge=1)
    """Rows that a worker has taken on and not answered; a request beyond is refused. A row to
    explain counts for as many as /predict takes more than /explain in one request.
    """

    overload_status: Literal["429", "503"] = "429"
    """The status of what is refused in overload: 503 for balancers that then ask another server."""

    ad_cache_entries: int = Field(default=100_000, ge=0)
    """Ads that a worker keeps encoded, by the bytes they are sent in; 0 keeps none."""

    ad_cache_bytes: int = Field(default=64 << 20, ge=0)
    """How much memory they may take, about; the version before the live one keeps as many again."""

    shadow_requests: int = Field(default=200, ge=0, le=10_000)
    """How many of its last requests a worker scores with a new version beside the live one, before
    the new one goes live; 0 for none.
    """

    shadow_mean: float = Field(default=1.25, gt=1)
    """A version is refused whose mean probability on them is more than so many times the live
    one's, or less than the live one's over it.
    """

    shadow_rank: float = Field(default=0.5, ge=-1, le=1)
    """The least rank correlation of its scores with the live one's."""

    shadow_unknown: float = Field(default=0.1, ge=0, le=1)
    """How much larger the share of values that it does not know may be."""

    shadow_latency: float = Field(default=1.5, gt=1)
    """How many times as long it may take to score, beyond `shadow_latency_ms`."""

    shadow_latency_ms: float = Field(default=2.0, ge=0)
    """Milliseconds that it may take to score a request, however little the live version takes."""

    poll_seconds: float = Field(default=0.4, gt=0, le=60)
    """How often a worker asks Redis which version is active."""

    caller_seconds: float = Field(default=20.0, gt=0, le=3600)
    """How long a caller may take to send a request, and to read its answer."""

    keep_alive_seconds: int = Field(default=75, ge=1, le=86_400)
    """How long a connection may wait for its next request."""

    drain_seconds: float = Field(default=15.0, ge=0, le=300)
    """How long a worker that was told to stop is not ready but still answers: longer than the
    balancer takes to notice.
    """

    shutdown_seconds: int = Field(default=10, ge=1)
    """How long a stopping worker waits for requests in flight."""

    access_log: bool = False
    """One line for each request, by its end: status, route, seconds, rows, and what the caller
    finds it by (`x-request-id`, `traceparent`); no values.
    """

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged; debug shows what libraries say as well; never the
    values of a request."""

    log_format: Literal["json", "console"] = "json"
    """Logs for programs or for people."""

    @classmethod
    def load(cls, **chosen: Any) -> "Settings":
        """From the environment; what is `chosen` and not None wins.

        Raises:
            SettingsError: a setting that cannot be used; names variable and value. Or a variable
                that is no setting; names the setting that is nearest.
        """
        check_names(cls.model_fields)
        try:
            return cls(**{key: value for key, value in chosen.items() if value is not None})
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            key = str(fault["loc"][0])
            value = without_password(str(fault["input"])) if key == "redis_url" else fault["input"]
            message = fault["msg"].removeprefix("Value error, ")
            raise SettingsError(f"AFM_{key.upper()}: {message} (value {value!r})") from error

    @property
    def reached_at(self) -> str:
        """The address at which callers reach the service."""
        return self.host if self.published_host is None else self.published_host

    @property
    def redis(self) -> str | Path | None:
        """The URL of the Redis to use, or the file that holds it; None means an embedded one."""
        return self.redis_url if self.redis_url_file is None else self.redis_url_file

    @property
    def bundle_directory(self) -> Path:
        """Where published bundles are."""
        return self.home / "bundles" if self.bundles is None else self.bundles

    @property
    def connections(self) -> int:
        """How many connections a worker of this process's limits has."""
        if self.max_connections is not None:
            return self.max_connections
        return min(MOST_CONNECTIONS, open_files_limit() // 2)

    @property
    def ad_cache(self) -> CacheLimits:
        """The limits of a worker's cache of ads."""
        return CacheLimits(self.ad_cache_entries, self.ad_cache_bytes)

    @property
    def input_limits(self) -> InputLimits:
        """How large the parts of one request may be."""
        return InputLimits(
            self.max_depth,
            self.max_keys,
            self.max_text_length,
            self.max_list_length,
            max(self.max_body_bytes // 8, LEAST_AT_ONCE),
        )

    @property
    def shadow_limits(self) -> ShadowLimits:
        """What a version may differ by on recent requests."""
        return ShadowLimits(
            self.shadow_requests,
            self.shadow_mean,
            self.shadow_rank,
            self.shadow_unknown,
            self.shadow_latency,
            self.shadow_latency_ms,
        )

    def environment(self) -> dict[str, str]:
        """The settings as the environment of a worker process."""
        return {
            f"AFM_{key.upper()}": str(value)
            for key, value in self.model_dump().items()
            if value is not None
        }
