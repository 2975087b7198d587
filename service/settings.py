"""The service's settings: one frozen object, made at the rim and passed in; in the environment each
has `AFM_` before its name.

>>> settings = Settings.load(port=9000, max_rows=500)
>>> settings.port, settings.max_explain_rows
(9000, 500)
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from service import setting_groups as groups
from service.errors import SettingsError
from service.limits import CacheLimits, InputLimits, ShadowLimits
from service.redis_url import without_password
from service.runtime import open_files_limit
from service.setting_names import check_names

MOST_CONNECTIONS = 10_000
LEAST_AT_ONCE = 256 << 10  # bytes of JSON that are read in one go, however small bodies must be
MAX_EXPLAIN_ROWS = 1000  # to explain a row takes about 100 times as long as to score it
KINDS = {  # what pydantic says in words of programmers
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
}
REQUESTS_IN_FLIGHT = 4  # of the largest size, in one worker


class Settings(
    groups.StoreSettings,
    groups.PublishSettings,
    groups.ListenSettings,
    groups.AccessSettings,
    groups.RequestSettings,
    groups.ConnectionSettings,
    groups.OverloadSettings,
    groups.MemorySettings,
    groups.ShadowSettings,
    groups.StopSettings,
    groups.ObservationSettings,
    groups.LogSettings,
):
    """All settings of `afm-serve`; every command reads the same ones."""

    model_config = SettingsConfigDict(
        env_prefix="AFM_",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
    )

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
            message = KINDS.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
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
    def max_explain_rows(self) -> int:
        """An /explain of more rows gets 413."""
        return min(self.max_rows, MAX_EXPLAIN_ROWS)

    @property
    def max_rows_in_flight(self) -> int:
        """The rows that a worker accepts before it has answered them; a row to explain counts for
        `max_rows / max_explain_rows`.
        """
        return self.max_rows * REQUESTS_IN_FLIGHT

    @property
    def ad_cache(self) -> CacheLimits:
        """The limits of a worker's cache of ads."""
        return CacheLimits(bytes=self.ad_cache_bytes)

    @property
    def input_limits(self) -> InputLimits:
        """How large the parts of one request may be."""
        return InputLimits(at_once=max(self.max_body_bytes // 8, LEAST_AT_ONCE))

    @property
    def shadow_limits(self) -> ShadowLimits:
        """What a version may differ by on recent requests."""
        return ShadowLimits(
            self.shadow_requests,
            mean=self.shadow_max_mean_ratio,
            latency=self.shadow_max_latency_ratio,
            latency_ms=self.shadow_min_latency_ms,
        )

    def environment(self) -> dict[str, str]:
        """The settings as the environment of a worker process."""
        return {
            f"AFM_{key.upper()}": str(value)
            for key, value in self.model_dump().items()
            if value is not None
        }
