"""A version is refused by what its bundle or its vocabularies hold, and the one before it lives."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from followed import POLL_SECONDS, metric, stored
from model.bundle.bundle import Bundle
from model.errors import BundleError
from service.errors import NoModel
from service.scoring.live_version import make_live
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.follower import Times
from service.versions.publish import publish
from until import until


def harm_bundle(kind: Any, directory: Any) -> Any:
    match kind:
        case "a byte changed":
            path = directory / "weights.bin"
            data = bytearray(path.read_bytes())
            data[0] ^= 1
            path.write_bytes(data)
            return "weights.bin"
        case "a file missing":
            (directory / "explain.onnx").unlink()
            return "explain.onnx"
        case "an extra link":
            (directory / "vocabulary" / "extra.json").symlink_to("/etc/hostname")
            return "extra.json"
        case "a hard link":
            (directory.parent / "other").hardlink_to(directory / "predict.onnx")
            return "predict.onnx"
        case "nothing there":
            shutil.rmtree(directory)
            return directory.name


@pytest.mark.parametrize(
    "kind", ["a byte changed", "a file missing", "an extra link", "a hard link", "nothing there"]
)
def test_a_damaged_bundle_is_refused_by_name_and_the_live_version_stays(
    kind: str,
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    telemetry: Any,
    tmp_path: Path,
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    publish(first.directory, store, bundles)
    follower.start()
    follower.wait(30)
    publish(second.directory, store, bundles, activate=False)
    named = harm_bundle(kind, stored(tmp_path, second.version))
    with structlog.testing.capture_logs() as logged:
        store.activate(second.version)
        until(lambda: follower.status.refusal is not None)
    assert follower.status.live.version == first.version
    assert named in follower.status.refusal.reason
    (entry,) = [entry for entry in logged if entry["event"] == "version refused"]
    assert entry["version"] == second.version
    assert named in entry["reason"]
    assert (
        metric(telemetry, "afm_refused_activations_total", code=follower.status.refusal.code) == 1
    )
    store.rollback()
    until(lambda: follower.status.active == first.version)
    assert follower.status.live.version == first.version


@pytest.mark.parametrize("times", [Times(poll=POLL_SECONDS, first_retry=2.0)])
def test_a_refused_version_is_not_tried_in_a_hot_loop_but_again_later(
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    telemetry: Any,
    tmp_path: Path,
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    directory = stored(tmp_path, tiny_bundle.version)
    directory.rename(tmp_path / "away")  # a store that is not mounted yet
    follower.start()
    until(lambda: follower.status.refusal is not None)
    time.sleep(20 * POLL_SECONDS)
    assert (
        metric(telemetry, "afm_refused_activations_total", code=follower.status.refusal.code) == 1
    )
    (tmp_path / "away").rename(directory)
    until(lambda: follower.status.live is not None)
    assert follower.status.refusal is None


@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_a_vocabulary_in_redis_that_is_not_the_bundle_s_is_refused(
    harm: str,
    tiny_bundle: Bundle,
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    raw_redis: Any,
) -> None:
    publish(tiny_bundle.directory, store, bundles)
    key = f"afm:ads:vocabulary:{tiny_bundle.version}"
    if harm == "changed":
        raw_redis.hset(key, "ad", raw_redis.hget(key, "ad").replace("a1", "a2"))
    else:
        raw_redis.hdel(key, "ad")
    follower.start()
    follower.wait(30)
    assert follower.status.live is None
    assert "'ad'" in follower.status.refusal.reason
    with pytest.raises(NoModel, match=r"was refused: vocabulary of 'ad'"):
        follower.status.require()


def test_golden_rows_that_differ_are_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    directory = shutil.copytree(tiny_bundle.directory, tmp_path / "forged")
    golden = directory / "golden.jsonl"
    lines = [json.loads(line) for line in golden.read_text().splitlines()]
    lines[-1]["probabilities"][0] = 0.5
    golden.write_text("".join(json.dumps(line) + "\n" for line in lines))
    manifest = json.loads((directory / "manifest.json").read_text())
    data = golden.read_bytes()
    manifest["files"]["golden.jsonl"] = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    forged = Bundle.open(directory)
    with pytest.raises(BundleError, match="golden"):
        make_live("ads", forged, forged.read_vocabulary_bytes())


def test_a_worker_that_starts_on_a_bad_version_answers_by_the_one_before(
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    follower: Any,
    tmp_path: Path,
    telemetry: Any,
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    for bundle in (first, second):
        publish(bundle.directory, store, bundles)
    harm_bundle("a byte changed", stored(tmp_path, second.version))
    follower.start()
    until(lambda: follower.status.live is not None)
    assert (follower.status.live.version, follower.status.active) == (first.version, second.version)
    assert follower.status.refusal.version == second.version
    assert not follower.status.confirmed
    assert metric(telemetry, "afm_unconfirmed_version") == 1
    store.rollback()
    until(lambda: follower.status.confirmed)
    assert metric(telemetry, "afm_unconfirmed_version") == 0
