"""Swaps under a constant load, open loop: no answer is lost, each is its version's to the bit."""

import json
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from traffic.load import request_bytes, run_counted_load

from altered import scale_output, whole
from commands import Commands
from model.bundle.bundle import Bundle
from model.bundle.files import vocabulary_file
from model.encoding import Slate
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore
from service.versions.publish import publish

SWAPS = 20
RATE = 80.0
CONTEXT = {"device": "ios", "hour": 21, "interests": ["cars", "golf"]}
REQUESTS = 60  # that differ; each asks by its number of rows which one it is


def ads_of(number: Any) -> Any:
    """The ads of a request, none of which is in another one."""
    return [{"ad": f"a{(number + i) % 13}", "price": number + i / 100} for i in range(6 + number)]


def body_of(number: Any) -> Any:
    """Whole rows in every third one, else a context with its ads."""
    if number % 3 == 0:
        return {"instances": [CONTEXT | ad for ad in ads_of(number)]}
    return {"context": CONTEXT, "candidates": ads_of(number)}


def answers_of(bundle: Any) -> Any:
    """What each request may be answered with: a context with its ads goes through either graph."""
    encoder, scorer = bundle.read_encoder(), bundle.read_scorer()
    found = []
    for number in range(REQUESTS):
        ads = ads_of(number)
        if number % 3 == 0:
            rows = encoder.encode([CONTEXT | ad for ad in ads])
            found.append({tuple(scorer.predict(rows).predictions.tolist())})
            continue
        slate = Slate(encoder.encode_context(CONTEXT), encoder.encode_ads(ads))
        plain = scorer.predict_plainly(scorer.joined(slate)).predictions
        found.append({tuple(plain.tolist()), tuple(scorer.rank(slate).predictions.tolist())})
    return found


@pytest.fixture(scope="module")
def other(make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A version whose vocabulary, graph and scores all differ from those of `make_bundle()`."""

    def change(directory: Any) -> None:
        path = directory / vocabulary_file("ad")
        body = json.loads(path.read_text())
        path.write_text(json.dumps(body | {"values": body["values"][::-1]}))
        for name in ("predict.onnx", "rank.onnx"):
            scale_output(directory / name, 0.5)

    return whole(make_bundle(net="fm", seed=2), tmp_path_factory.mktemp("other") / "b", "b", change)


def test_twenty_swaps_lose_no_answer_and_mix_no_versions(
    tmp_path: Path, make_bundle: Callable[..., Bundle], other: Any
) -> None:
    commands = Commands(tmp_path)
    first = make_bundle(seed=1)
    expected = {bundle.version: answers_of(bundle) for bundle in (first, other)}
    for ours, theirs in zip(*expected.values(), strict=True):
        assert all(set(a).isdisjoint(b) for a in ours for b in theirs)
    with EmbeddedRedis(commands.home / "afm") as server:
        store = VersionStore(server.url, "default")
        bundles = BundleStore(commands.home / "afm" / "bundles")
        for bundle in (other, first):
            publish(bundle.directory, store, bundles, force=True)
        with commands.serving(workers=2, AFM_MAX_WAIT_MS="5000") as served:
            versions = [other.version, first.version] * (SWAPS // 2)
            served.wait_until("/metrics", lambda answer: on_both(answer, first.version))
            done = threading.Event()
            found = []

            def load() -> None:
                requests = [request_bytes("/predict", body_of(n)) for n in range(REQUESTS)]
                while not done.is_set():
                    due = np.arange(int(RATE)) / RATE
                    found.extend(run_counted_load(served.port, requests, 8, due, keep=True))

            loading = threading.Thread(target=load)
            loading.start()
            for version in versions:
                store.activate(version, force=True)
                served.wait_until("/metrics", partial(on_both, version=version))
            done.set()
            loading.join()
            log = served.log.read_text()
        store.close()
    assert {answer.status for answer in found} == {200}
    seen = []
    for answer in found:
        body = json.loads(answer.body)
        number = len(body["probabilities"]) - len(ads_of(0))
        assert tuple(body["probabilities"]) in expected[body["version"]][number]
        seen.append(body["version"])
    assert set(seen) == set(expected)
    lives = re.findall(r'"event": "version is live"', log)
    assert len(lives) == 2 * (SWAPS + 1)


def on_both(answer: Any, version: Any) -> Any:
    return f'afm_live_version{{model="default",version="{version}"}} 2.0' in answer.text
