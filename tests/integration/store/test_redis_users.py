"""The Redis users of docker/: each does its work with the rights it has, and nothing beside it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from app_server import client_of
from model.bundle.bundle import Bundle
from narrowing import not_none
from own_redis import SERVERS
from redis_users import FOR_NOBODY, WRITES, guarded_redis, logins_of, refused, users
from service.store.bundle_store import BundleStore
from service.store.records import RefusalNote
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore
from service.versions.publish import publish
from until import until

ROWS = {"instances": [{"device": "ios", "hour": 21, "ad": "a1"}]}


@pytest.fixture(params=SERVERS)
def logins(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each user's URL, on a server that was started with the users' file."""
    with guarded_redis(tmp_path, request.param) as port:
        yield logins_of(tmp_path, port)


def test_the_service_serves_and_follows_a_swap_with_its_user_and_cannot_write(
    logins: Any, tmp_path: Path, make_bundle: Callable[..., Bundle], bundles: BundleStore
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    publisher = VersionStore(logins["publisher"], "ads")
    publish(first.directory, publisher, bundles)
    with client_of(logins["service"], tmp_path) as client:
        assert client.get("/readyz").json()["redis"] == "ok"
        assert client.post("/predict", json=ROWS).json()["version"] == first.version
        publish(second.directory, publisher, bundles)
        answers(client, second.version)
        assert publisher.rollback() == first.version
        answers(client, first.version)
    assert refused(logins["service"], WRITES + FOR_NOBODY) == []
    service = VersionStore(logins["service"], "ads")
    refused_one = RefusalNote("v2", "damaged", "it is")
    RefusalBoard(service).announce(first.version, refused_one)
    RefusalBoard(service).record(refused_one)
    assert (
        RefusalBoard(service).refusals_of_workers()
        == RefusalBoard(publisher).refusals_of_workers()
        == [refused_one]
    )
    assert service.refused() == publisher.refused() == {"v2": refused_one}
    service.close()
    assert publisher.active() == first.version
    publisher.close()


def answers(client: httpx.Client, version: str) -> None:
    """Return once it is this version that answers."""
    until(lambda: client.post("/predict", json=ROWS).json()["version"] == version)


def test_a_publisher_publishes_activates_and_rolls_back_and_harms_nothing_else(
    logins: Any, make_bundle: Callable[..., Bundle], bundles: BundleStore
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    store = VersionStore(logins["publisher"], "ads")
    publish(first.directory, store, bundles)
    publish(second.directory, store, bundles, activate=False)
    publish(second.directory, store, bundles, activate=False)  # again, over what is there
    store.activate(second.version)
    assert store.rollback() == first.version
    assert [one.version for one in store.versions()] == [second.version, first.version]
    store.close()
    assert refused(logins["publisher"], FOR_NOBODY) == []


@pytest.mark.parametrize("server", SERVERS)
def test_what_is_published_outlives_a_restart_of_redis(
    tmp_path: Path, tiny_bundle: Bundle, bundles: BundleStore, server: Any
) -> None:
    with guarded_redis(tmp_path, server) as port:
        store = VersionStore(logins_of(tmp_path, port)["publisher"], "ads")
        publish(tiny_bundle.directory, store, bundles)
        store.close()
    with guarded_redis(tmp_path, server) as port:
        store = VersionStore(logins_of(tmp_path, port)["service"], "ads")
        assert store.active() == tiny_bundle.version
        assert store.vocabularies(tiny_bundle.version) == tiny_bundle.read_vocabulary_bytes()
        store.close()
        # Redis 7 replays transactions with the rights of its default user, and drops what it lacks
        with redis.Redis.from_url(logins_of(tmp_path, port)["operator"]) as client:
            (default,) = [line for line in client.acl_list() if line.startswith("user default ")]
        assert {"off", "~*", "&*", "+@all"} <= set(default.split())


def test_user_without_a_password_is_refused_everywhere(logins: Any) -> None:
    url = re.sub("//.*@", "//", logins["service"])
    for command in (("ping",), ("get", "afm:ads:active"), ("info",), *WRITES, *FOR_NOBODY):
        with redis.Redis.from_url(url) as client, pytest.raises(redis.AuthenticationError):
            client.execute_command(*command)
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(logins["service"].replace("@", "0@")).ping()


def test_an_operator_may_do_everything(logins: Any) -> None:
    with redis.Redis.from_url(logins["operator"]) as client:
        assert client.config_get("maxmemory-policy")
        assert client.flushall()


def test_passwords_are_drawn_once_and_stand_in_no_users_file(tmp_path: Path) -> None:
    made = users(tmp_path / "logins", "redis:6379")
    assert users(tmp_path / "logins", "redis:6379") == made
    urls = [path.read_text() for path in sorted((tmp_path / "logins").glob("*/url"))]
    drawn = [
        not_none(re.fullmatch(r"redis://\w+:([0-9a-f]{64})@redis:6379/0\n", url))[1] for url in urls
    ]
    assert len(set(drawn)) == 3
    assert not [password for password in drawn if password in made]
    assert users(tmp_path / "others", "redis:6379") != made
