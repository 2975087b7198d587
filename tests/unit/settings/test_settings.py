"""Settings: from the environment, checked at once, and no password in sight."""

import ast
import inspect
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.errors import SettingsError
from service.http.headers.coding import LEAST_BYTES
from service.http.worker import SHUTDOWN_SECONDS
from service.limits import InputLimits, ShadowLimits
from service.observe import prediction_log
from service.redis_url import ClusterUrl, without_password
from service.scoring import what_if
from service.setting_names import REMOVED
from service.settings import Settings
from service.store.model_keys import REDIS_TIMEOUT_SECONDS
from service.versions.follower import Times


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("AFM_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings.load()
    assert settings.home == Path(".afm")
    assert settings.bundle_directory == Path(".afm/bundles")
    assert settings.model == "default"
    assert settings.redis_url is None
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFM_HOME", "/data/afm")
    monkeypatch.setenv("AFM_MODEL", "ads")
    monkeypatch.setenv("AFM_REDIS_URL", "rediss://redis:6379/0")
    settings = Settings.load()
    assert settings.bundle_directory == Path("/data/afm/bundles")
    assert settings.model == "ads"
    assert settings.redis_url == "rediss://redis:6379/0"


def test_an_option_of_the_command_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFM_PORT", "9000")
    assert Settings.load(port="9001").port == 9001
    assert Settings.load(port=None).port == 9000


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFM_REDIS_URL", "")
    monkeypatch.setenv("AFM_BUNDLES", "")
    assert Settings.load().redis_url is None
    assert Settings.load().bundle_directory == Path(".afm/bundles")


def test_variables_of_other_parts_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Settings.load()
    monkeypatch.setenv("AFM_DATA", "log.csv")
    assert Settings.load() == plain


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.load().port = 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AFM_PORT", "eighty"),
        ("AFM_PORT", "65536"),
        ("AFM_WORKERS", "0"),
        ("AFM_MAX_ROWS", "0"),
        ("AFM_DRAIN_SECONDS", "-1"),
        ("AFM_LOG_LEVEL", "loud"),
        ("AFM_MODEL", "a:b"),
        ("AFM_MODEL", "../up"),
        ("AFM_BUNDLES", "s3://bucket/bundles"),
    ],
)
def test_a_bad_value_is_one_line_that_names_variable_and_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert name in str(caught.value)
    assert value in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("port", "abc", "AFM_PORT: must be a whole number (value 'abc')"),
        ("workers", "1.5", "AFM_WORKERS: must be a whole number (value '1.5')"),
        ("drain_seconds", "long", "AFM_DRAIN_SECONDS: must be a number (value 'long')"),
        ("access_log", "perhaps", "AFM_ACCESS_LOG: must be true or false (value 'perhaps')"),
    ],
)
def test_a_value_of_another_kind_is_told_in_plain_words(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(**{name: value})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "url",
    [
        *("http://me:pw-42@host/", "me:pw-42@host", "redis://:pw-42/x@host:6379"),
        *("redis://h:pw-42/0", "redis+cluster://me:pw-42@one:1,two:x", "redis+cluster://me:pw-42@"),
        *("redis+cluster://me:pw-42@one:1,", "redis+cluster://me:pw-42@one/1"),
    ],
)
def test_a_bad_redis_url_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AFM_REDIS_URL", url)
    with pytest.raises(SettingsError, match="AFM_REDIS_URL") as caught:
        Settings.load()
    if "@" in url:
        assert "pw-42" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://me:pw@host:6379/0", "redis://me@host:6379/0"),
        ("redis://:pw@host:6379/0", "redis://host:6379/0"),
        ("redis://me:p@w:x/y?z#@host/0", "redis://me@host/0"),
        ("redis://host/0?password=pw", "redis://host/0"),
        ("unix://me:pw@/run/redis.sock?db=1", "unix://me@/run/redis.sock"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis+cluster://me:pw@one:1,two:2", "redis+cluster://me@one:1,two:2"),
        ("me:pw", "(not a URL)"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_the_nodes_of_a_cluster_have_its_login_and_its_options() -> None:
    url = ClusterUrl.of("rediss+cluster://me:p@w@[::1]:1, two:2/0?ssl_ca_certs=/ca.pem")
    assert url is not None
    assert [url.node(seed) for seed in url.seeds] == [
        "rediss://me:p@w@[::1]:1?ssl_ca_certs=/ca.pem",
        "rediss://me:p@w@two:2?ssl_ca_certs=/ca.pem",
    ]
    assert ClusterUrl.of("redis://one:1") is None


def test_workers_get_the_same_settings_through_their_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings.load(
        home="/x", model="ads", port=81, redis_url="redis://h", drain_seconds=2
    )
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == settings


def test_every_setting_has_a_sentence() -> None:
    groups = [ast.parse(inspect.getsource(group)).body[0] for group in Settings.__bases__]
    lines = [line for group in groups if isinstance(group, ast.ClassDef) for line in group.body]
    for name in Settings.model_fields:
        at = next(
            i
            for i, line in enumerate(lines)
            if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == name
        )
        behind = lines[at + 1]
        assert isinstance(behind, ast.Expr), name
        assert isinstance(behind.value, ast.Constant), name
        assert isinstance(behind.value.value, str), name
        assert behind.value.value.rstrip().endswith("."), name


def test_a_removed_setting_is_an_error_that_says_what_came_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AFM_MAX_ROWS_IN_FLIGHT", "20000")
    with pytest.raises(SettingsError, match=r"^AFM_MAX_ROWS_IN_FLIGHT is no longer a setting: it "):
        Settings.load()


def test_a_removed_setting_s_error_says_the_value_that_the_constant_has() -> None:
    limits, shadow, times = InputLimits(), ShadowLimits(0), Times()
    constants = {
        "AFM_GZIP_BYTES": LEAST_BYTES,
        "AFM_MAX_DEPTH": limits.depth,
        "AFM_MAX_KEYS": limits.keys,
        "AFM_MAX_LIST_LENGTH": limits.list,
        "AFM_MAX_TEXT_LENGTH": limits.text,
        "AFM_MAX_WHATIF_ROWS": what_if.MOST_ROWS,
        "AFM_POLL_SECONDS": times.poll,
        "AFM_PREDICTION_LOG_BYTES": prediction_log.MOST_BYTES,
        "AFM_REDIS_TIMEOUT_MS": round(1000 * REDIS_TIMEOUT_SECONDS),
        "AFM_SHADOW_RANK": shadow.rank,
        "AFM_SHADOW_UNKNOWN": shadow.unknown,
        "AFM_SHUTDOWN_SECONDS": SHUTDOWN_SECONDS,
    }
    said = {name: words for name, words in REMOVED.items() if words.startswith("it is a constant")}
    assert said == {name: f"it is a constant, {value}" for name, value in constants.items()}


def test_no_removed_setting_is_a_setting() -> None:
    assert not {f"AFM_{name.upper()}" for name in Settings.model_fields} & REMOVED.keys()


def test_a_variable_that_is_no_setting_is_an_error_that_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AFM_WORKER", "2")
    with pytest.raises(SettingsError, match=r"^AFM_WORKER: .* nearest one is AFM_WORKERS$"):
        Settings.load()


def test_a_file_stands_in_for_the_url_of_redis_and_may_come_later(tmp_path: Path) -> None:
    settings = Settings.load(redis_url_file=tmp_path / "url")
    assert settings.redis == tmp_path / "url"
    assert Settings.load(redis_url="redis://h").redis == "redis://h"
    assert Settings.load().redis is None


def test_callers_reach_the_published_address() -> None:
    assert Settings.load(host="::").reached_at == "::"
    assert Settings.load(host="::", published_host="127.0.0.1").reached_at == "127.0.0.1"
