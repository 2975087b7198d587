"""A worker is killed while the active version is a bad one: its successor answers as it did."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from altered import reseal
from commands import Commands
from model.bundle.bundle import Bundle
from service.http.worker import STARTED, _replaces_dead_worker
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore
from service.versions.publish import publish
from until import until

ROWS = {"instances": [{"device": "ios", "hour": 21, "ad": f"a{i}"} for i in range(3)]}


def test_a_killed_worker_s_successor_answers_by_the_version_before_a_bad_one(
    commands: Commands, make_bundle: Callable[..., Bundle]
) -> None:
    home = commands.home / "afm"
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    with EmbeddedRedis(home) as server, commands.serving(workers=2) as served:
        store, bundles = VersionStore(server.url, "default"), BundleStore(home / "bundles")
        publish(first.directory, store, bundles)
        on_both = f'afm_live_version{{model="default",version="{first.version}"}} 2.0'
        served.wait_until("/metrics", lambda answer: on_both in answer.text)
        publish(second.directory, store, bundles, activate=False)
        bad = home / "bundles" / "default" / second.version
        weights = np.full_like(np.fromfile(bad / "weights.bin", dtype=np.float32), np.nan)
        weights.tofile(bad / "weights.bin")
        reseal(bad)
        store.activate(second.version)
        until(
            lambda: (
                [one.code for one in RefusalBoard(store).refusals_of_workers()] == ["weights"] * 2
            )
        )
        killed = served.workers()[0]
        os.kill(killed, signal.SIGKILL)
        answers: list[Any] = []
        states: dict[Any, Any] = {}
        deadline = time.monotonic() + 60
        while killed in served.workers() or len(served.workers()) < 2 or len(states) < 2:
            assert time.monotonic() < deadline, served.log.read_text()
            # a connection each, so that the new worker gets some as soon as it listens
            answer = httpx.post(served.url + "/predict", json=ROWS, timeout=30)
            answers.append((answer.status_code, answer.json().get("version")))
            ready = httpx.get(served.url + "/readyz", timeout=30).json()
            states[ready["confirmed"]] = (
                ready["version"],
                ready["active"],
                ready["refused"]["code"],
            )
        store.close()
    assert set(answers) == {(200, first.version)}
    # the one that lived on had the version confirmed; the new one has not, and both say what is bad
    assert states == dict.fromkeys((True, False), (first.version, second.version, "weights"))


@pytest.mark.parametrize(("before", "expected"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_worker_that_starts_when_all_have_stands_in_for_one_that_died(
    before: int, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for number in range(before):
        (tmp_path / f"{STARTED}0{number}").touch()  # no process has such a name
    assert _replaces_dead_worker(workers=2) is expected
