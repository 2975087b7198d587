"""A real Redis Cluster: all keys of a model are on one of its nodes, which is found again when
another node has them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app_server import client_of
from certificates import certificate
from model.bundle.bundle import Bundle
from narrowing import not_none
from own_redis import own_redis, require_tls
from redis_cluster import RedisCluster, redis_cluster
from service.errors import StoreError, StoreUnavailable
from service.redis_url import ClusterUrl
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from until import until

ADS = [{"ad": f"a{i}", "price": i / 2} for i in range(6)]


@pytest.fixture(params=["plain", "TLS"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisCluster]:
    secret = None
    if request.param == "TLS":
        require_tls()
        secret = certificate(tmp_path)
    with redis_cluster(tmp_path / "cluster", "ads", secret) as made:
        yield made


def published(cluster: RedisCluster, home: Path, bundle: Bundle) -> None:
    store = VersionStore(cluster.url, "ads")
    done = publish(
        bundle.directory, store, BundleStore(home / "bundles"),
        remote_fields_above=3, packed_above=3, force=True,
    )  # fmt: skip
    assert done.record.live == ("hour",)
    assert store.packed_digest(bundle.version) is not None
    store.close()


def answer(client: httpx.Client, hour: int) -> Any:
    asked = {"context": {"device": "ios", "hour": hour}, "candidates": ADS}
    return client.post("/predict", json=asked).json()


def expected(bundle: Bundle, hour: int) -> Any:
    rows: list[Any] = [{"device": "ios", "hour": hour, **ad} for ad in ADS]
    predicted = bundle.read_scorer().predict(bundle.read_encoder().encode(rows))
    return pytest.approx(not_none(predicted.probabilities).tolist(), abs=1e-6)


def answers_right(client: httpx.Client, bundle: Bundle, hour: int) -> None:
    said = answer(client, hour)
    assert said["degraded"] is False
    assert said["probabilities"] == expected(bundle, hour)


def test_a_version_is_followed_on_the_node_that_has_its_keys_through_a_failover_and_a_move(
    cluster: RedisCluster, tmp_path: Path, tiny_bundle: Bundle, make_bundle: Any
) -> None:
    published(cluster, tmp_path, tiny_bundle)
    keys = cluster.owner.client.keys("*")
    assert keys
    assert all(key.startswith(b"afm:{ads}:") for key in keys)
    others = [node for node in cluster.nodes if node is not cluster.owner]
    assert [node.client.keys("*") for node in others] == [[], []]
    with client_of(cluster.url, tmp_path, remote_timeout_ms=5000.0) as client:
        answers_right(client, tiny_bundle, 1)
        cluster.lose_owner()
        until(lambda: not answer(client, 2)["degraded"])
        answers_right(client, tiny_bundle, 2)
        cluster.move()
        until(lambda: not answer(client, 3)["degraded"])
        answers_right(client, tiny_bundle, 3)
        other = make_bundle(seed=2)
        published(cluster, tmp_path, other)
        until(lambda: client.get("/model").json()["version"] == other.version)
        answers_right(client, other, 5)


@pytest.mark.parametrize("cluster", ["plain"], indirect=True)
def test_what_a_cluster_refuses_is_said(cluster: RedisCluster) -> None:
    url = not_none(ClusterUrl.of(cluster.url))
    for place in url.seeds:
        single = VersionStore(url.node(place), "ads")
        with pytest.raises(StoreError, match=r"its URL begins with redis\+cluster://"):
            single.rollback()  # of keys that are on several nodes
    cluster.follower.process.kill()
    cluster.owner.process.kill()
    with pytest.raises(StoreUnavailable):
        VersionStore(cluster.url, "ads").active()


def test_a_single_redis_is_no_cluster(tmp_path: Path) -> None:
    with own_redis(tmp_path / "single") as (_, port):
        store = VersionStore(f"redis+cluster://127.0.0.1:{port}", "ads")
        with pytest.raises(StoreError, match="cluster support disabled"):
            store.active()
