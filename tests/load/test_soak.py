"""Two workers for half a minute under mixed load and swaps: nothing grows, and in quiet there is
nothing to do. `make soak` is the long form.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import psutil
import pytest
from soak import Sample, loaded, mixed, of_a_core, sample
from traffic.load import request_bytes

from commands import Commands
from model.bundle.bundle import Bundle
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore
from service.versions.publish import publish

SETTLING, SWAPS = 6, 16
QUIET_SECONDS = 5.0
HARDLY = 0.04  # of a core
RETIRED_SECONDS = 3.0  # until what was live last is gone
FILES = 10
MIB = 2**20
MOST_MIB = 32  # less than half of what the versions of the swaps take, were they kept
CONTEXT = {"device": "ios", "hour": 21, "interests": ["cars", "golf"]}


class Soaked(NamedTuple):
    """What was seen before and after the swaps, and of a core in quiet."""

    first: Sample
    last: Sample
    idle: float
    statuses: dict[str, int]


def requests_of(size: Any) -> Any:
    ads = [{"ad": f"a{i % 13}", "price": i / 2} for i in range(size)]
    return [request_bytes("/predict", {"context": CONTEXT, "candidates": ads})] * 20


@pytest.fixture(scope="module")
def soaked(make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Any:
    commands = Commands(tmp_path_factory.mktemp("soak"))
    pair = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    with EmbeddedRedis(commands.home / "afm") as server:
        store = VersionStore(server.url, "default")
        for bundle in pair:
            publish(bundle.directory, store, BundleStore(commands.home / "afm" / "bundles"))
        with commands.serving(workers=2) as served:

            def swap(times: Any) -> None:
                for number in range(times):
                    version = pair[number % 2].version
                    store.activate(version, force=True)
                    served.wait_until("/metrics", partial(on_both, version=version))

            parent = psutil.Process(served.process.pid)
            with loaded(served.port, mixed({n: requests_of(n) for n in (1, 10, 100)})) as seen:
                swap(SETTLING)
                time.sleep(RETIRED_SECONDS)
                first = sample(parent, 0, list(seen[0]))
                swap(SWAPS)
                time.sleep(RETIRED_SECONDS)
                last = sample(parent, 0, list(seen[0]))
            idle, left = 1.0, 3
            while idle >= HARDLY and left:  # others add to it what they push out of the caches
                idle, left = min(idle, of_a_core(parent, QUIET_SECONDS)), left - 1
        store.close()
    return Soaked(first, last, idle, seen[1])


def on_both(answer: Any, version: Any) -> Any:
    return f'afm_live_version{{model="default",version="{version}"}} 2.0' in answer.text


def test_every_request_that_is_waited_for_is_answered(soaked: Any) -> None:
    assert soaked.statuses.keys() == {"200", "cancelled"}


def test_file_descriptors_stay_as_they_are(soaked: Any) -> None:
    assert abs(soaked.last.files - soaked.first.files) <= FILES


def test_memory_does_not_grow_with_swaps(soaked: Any) -> None:
    assert soaked.last.bytes - soaked.first.bytes < MOST_MIB * MIB


def test_a_service_that_nobody_asks_hardly_uses_a_core(soaked: Any) -> None:
    # `make soak` has the figure; on a busy machine each wake-up costs a few times as much
    assert soaked.idle < HARDLY
