"""A bad version that came into store and Redis past `publish`: each kind is refused when it is
activated, with its reason in the log, a metric and `afm-serve versions`; the old one answers.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis
import structlog
from prometheus_client.parser import text_string_to_metric_families

from bad_bundles import IN_REDIS, IN_THE_STORE, byte_flipped, nan_weights, put
from commands import Commands
from model.bundle.bundle import Bundle
from narrowing import not_none
from service.cli import main
from service.errors import StoreError
from service.observe.metrics import Telemetry
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore
from service.versions.follower import Follower, Times
from service.versions.publish import publish
from until import until

ROWS: list[dict[str, Any]] = [
    {"device": "ios", "hour": 21, "ad": f"a{i}", "price": i / 2} for i in range(6)
]


@dataclass
class House:
    """A Redis, a bundle store, and a follower on which the version `good` is live."""

    url: str
    store: VersionStore
    bundles: BundleStore
    telemetry: Telemetry
    follower: Follower
    good: str

    def put(self, bundle: Any, version: Any, harm: Any = lambda _: None) -> None:
        """Into store and Redis as it is, unlooked at."""
        put(self.store, self.bundles, bundle, version, harm)

    def refusals(self) -> Any:
        return Counter(
            {
                sample.labels["code"]: sample.value
                for family in text_string_to_metric_families(self.telemetry.scrape().decode())
                for sample in family.samples
                if sample.name == "afm_refused_activations_total"
            }
        )

    def scores(self) -> Any:
        live = self.follower.status.require()
        return not_none(live.scorer.predict(live.encoder.encode(ROWS)).probabilities).tolist()

    def roll_back(self) -> None:
        assert self.store.rollback() == self.good
        until(
            lambda: (
                not_none(self.follower.status.live).version == self.good
                and not RefusalBoard(self.store).refusals_of_workers()
            )
        )


@pytest.fixture(scope="module")
def house(
    make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("house")
    good = make_bundle(seed=1)
    with EmbeddedRedis(home / "redis") as server:
        store, telemetry = VersionStore(server.url, "ads"), Telemetry()
        bundles = BundleStore(home / "bundles")
        follower = Follower(VersionStore(server.url, "ads"), bundles, telemetry, Times(poll=0.02))
        made = House(server.url, store, bundles, telemetry, follower, good.version)
        made.put(good, good.version)
        store.activate(good.version)
        follower.start()
        follower.wait(30)
        yield made
        follower.stop()
        store.close()
    gc.unfreeze()


def is_refused_and_told(
    house: Any,
    version: Any,
    code: Any,
    says: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good, before = house.follower.status.live, house.scores()
    counted = house.refusals()
    with structlog.testing.capture_logs() as logged:
        house.store.activate(version)
        until(RefusalBoard(house.store).refusals_of_workers)
    assert house.follower.status.require() is good
    assert house.scores() == before
    assert house.follower.status.refusal.version == version
    assert says in house.follower.status.refusal.reason
    (entry,) = [entry for entry in logged if entry["event"] == "version refused"]
    assert (entry["version"], entry["code"]) == (version, code)
    assert says in entry["reason"]
    counts = house.refusals()
    counts.subtract(counted)
    assert +counts == {code: 1}
    monkeypatch.setenv("AFM_REDIS_URL", house.url)
    assert main(["versions", "--model", "ads"]) == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed.startswith(f"{version} is refused by 1 worker ({code}): ")
    assert says in printed
    house.roll_back()
    assert house.follower.status.require() is good
    assert main(["versions", "--model", "ads"]) == 0
    assert "refused by" not in capsys.readouterr().out


@pytest.mark.parametrize(("harm", "code", "says"), IN_THE_STORE)
def test_a_bad_bundle_never_goes_live(
    harm: Any,
    code: Any,
    says: Any,
    house: Any,
    make_bundle: Callable[..., Bundle],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house.put(make_bundle(seed=2), harm.__name__, harm)
    is_refused_and_told(house, harm.__name__, code, says, capsys, monkeypatch)


@pytest.mark.parametrize(("harm", "code", "says"), IN_REDIS)
def test_a_vocabulary_that_is_not_the_bundle_s_never_goes_live(
    harm: Any,
    code: Any,
    says: Any,
    house: Any,
    make_bundle: Callable[..., Bundle],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house.put(make_bundle(seed=2), harm.__name__)
    with redis.Redis.from_url(house.url) as client:
        harm(client, f"afm:ads:vocabulary:{harm.__name__}")
    is_refused_and_told(house, harm.__name__, code, says, capsys, monkeypatch)


def test_unharmed_bundle_goes_live(house: Any, make_bundle: Callable[..., Bundle]) -> None:
    house.put(make_bundle(seed=2), "unharmed")
    house.store.activate("unharmed")
    until(lambda: house.follower.status.live.version == "unharmed")
    assert RefusalBoard(house.store).refusals_of_workers() == []
    house.roll_back()


def test_a_redis_that_takes_no_writes_is_told_all_the_same(
    house: Any, make_bundle: Callable[..., Bundle]
) -> None:
    house.put(make_bundle(seed=2), "announced", byte_flipped)
    house.store.activate("announced")
    with redis.Redis.from_url(house.url) as client:
        until(RefusalBoard(house.store).refusals_of_workers)
        client.config_set("maxmemory", 1)  # every write fails
        try:
            client.client_kill_filter(_type="normal", skipme=True)
            until(RefusalBoard(house.store).refusals_of_workers)
            with pytest.raises(StoreError, match="maxmemory"):
                house.store.rollback()
        finally:
            client.config_set("maxmemory", 0)
    house.roll_back()


def test_both_workers_refuse_answer_and_follow_the_rollback(
    commands: Commands, make_bundle: Callable[..., Bundle]
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    with EmbeddedRedis(commands.home / "afm") as server:
        store = VersionStore(server.url, "default")
        bundles = BundleStore(commands.home / "afm" / "bundles")
        publish(first.directory, store, bundles)
        publish(second.directory, store, bundles, activate=False)
        nan_weights(commands.home / "afm" / "bundles" / "default" / second.version)
        with commands.serving(workers=2) as served:

            def live_on_both(version: Any) -> None:
                gauge = f'afm_live_version{{model="default",version="{version}"}} 2.0'
                served.wait_until("/metrics", lambda answer: gauge in answer.text)

            live_on_both(first.version)
            store.activate(second.version)
            until(lambda: len(RefusalBoard(store).refusals_of_workers()) == 2)
            printed = commands.run("versions").stdout
            assert f"{second.version} is refused by 2 workers (weights): " in printed
            answer = httpx.post(served.url + "/predict", json={"instances": ROWS})
            assert (answer.status_code, answer.json()["version"]) == (200, first.version)
            assert store.rollback() == first.version
            until(lambda: not RefusalBoard(store).refusals_of_workers())
            live_on_both(first.version)
        store.close()
    assert served.log.read_text().count('"event": "version refused"') == 2
