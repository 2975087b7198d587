"""The made-up example stands in until the model has a version of its own, and never again after."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app_server import client_of
from model.bundle.bundle import Bundle
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from until import until

ROWS = {"instances": [{"device": "ios", "hour": 21, "ad": "a1"}]}


@pytest.fixture
def example(redis_url: str) -> Iterator[Any]:
    store = VersionStore(redis_url, "example")
    yield store
    store.close()


@pytest.fixture
def client(redis_url: str, tmp_path: Path) -> Iterator[Any]:
    with client_of(redis_url, tmp_path, example=True) as made:
        yield made


def live(client: httpx.Client) -> tuple[str, bool, str] | None:
    answer = client.get("/readyz")
    said = answer.json()
    return (said["model"], said["example"], said["version"]) if answer.is_success else None


def test_example_is_served_until_the_model_has_a_version(
    client: httpx.Client,
    example: Any,
    store: VersionStore,
    bundles: BundleStore,
    make_bundle: Callable[..., Bundle],
) -> None:
    made_up, own = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    assert "'ads'" in client.get("/readyz").json()["detail"]
    publish(made_up.directory, example, bundles)
    until(lambda: live(client) == ("example", True, made_up.version))
    assert client.post("/predict", json=ROWS).json()["model"] == "example"
    assert client.get("/model").json()["example"] is True
    publish(own.directory, store, bundles)
    until(lambda: live(client) == ("ads", False, own.version))
    assert client.post("/predict", json=ROWS).json()["model"] == "ads"


def test_example_is_not_served_where_the_model_lost_its_versions_in_redis(
    redis_url: str,
    raw_redis: Any,
    tmp_path: Path,
    example: Any,
    store: VersionStore,
    bundles: BundleStore,
    make_bundle: Callable[..., Bundle],
) -> None:
    made_up, own = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    publish(own.directory, store, bundles)
    raw_redis.flushdb()
    publish(made_up.directory, example, bundles)
    with client_of(redis_url, tmp_path, example=True) as client:
        until(lambda: live(client) == ("ads", False, own.version))


def test_example_is_not_served_unless_the_setting_says_so(
    redis_url: str, tmp_path: Path, example: Any, bundles: BundleStore, tiny_bundle: Bundle
) -> None:
    publish(tiny_bundle.directory, example, bundles)
    with client_of(redis_url, tmp_path) as client:
        assert live(client) is None


def test_url_of_redis_in_a_file_is_read_again_and_may_come_later(
    redis_url: str, tmp_path: Path, store: VersionStore, bundles: BundleStore, tiny_bundle: Bundle
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    file = tmp_path / "url"
    with client_of(file, tmp_path) as client:
        # the notes beside the bundles name what was active
        until(lambda: live(client) == ("ads", False, tiny_bundle.version))
        assert "No such file" in client.get("/readyz").json()["redis"]
        file.write_text(f"{redis_url}\n")
        until(lambda: client.get("/readyz").json()["redis"] == "ok")
        file.write_text("redis://nobody:wrong@127.0.0.1:1/0")
        until(lambda: client.get("/readyz").json()["redis"] != "ok")
