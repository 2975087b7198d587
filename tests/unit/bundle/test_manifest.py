"""manifest.json: what is read back, and what is no manifest."""

import json
from typing import Any

import pytest

from model.errors import BundleError
from model.manifest import FORMAT, Calibration, Dimensions, FileRecord, Manifest

DIGEST = "0" * 64


def manifest(**change: Any) -> Manifest:
    facts: dict[str, Any] = {
        "format": FORMAT,
        "version": "20260101120000-abcdef01",
        "created": "2026-01-01T12:00:00+00:00",
        "net": "afm",
        "task": "click",
        "dimensions": Dimensions(rows=30, slots=5, embedding=4, attention=3),
        "bias": -0.5,
        "schema_digest": DIGEST,
        "calibration": Calibration(rate=0.1, scale=1.2, shift=-0.1),
        "versions": {"torch": "2.0"},
        "metrics": {"valid": {"auc": 0.75, "gauc": None}},
        "training": {"seed": 1, "epochs": []},
        "files": {"weights.bin": FileRecord(sha256=DIGEST, size=12)},
    }
    return Manifest(**(facts | change))


def changed(**change: Any) -> bytes:
    return json.dumps({**json.loads(manifest().dumps()), **change}).encode()


def test_a_manifest_reads_back_equal() -> None:
    assert Manifest.parse(manifest().dumps(), "manifest.json") == manifest()


def test_a_manifest_is_json_for_people_too() -> None:
    text = manifest(net="afm+").dumps().decode()
    assert '\n  "net": "afm+"' in text
    assert text.endswith("}\n")


def test_equal_manifests_are_equal_bytes() -> None:
    assert manifest().dumps() == manifest().dumps()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "bundle format None"),
        (b"{}", "bundle format None"),
        (changed(format=FORMAT + 1), f"bundle format {FORMAT + 1}, this version reads {FORMAT}"),
        (changed(format="1"), "bundle format '1'"),
        (changed(extra=1), "extra: Extra inputs"),
        (changed(version="../up"), "version: String should match"),
        (changed(version=""), "version: String should match"),
        (changed(bias=float("nan")), "bias: "),
        (changed(bias="0"), "bias: "),
        (changed(schema_digest="0" * 63), "schema_digest: "),
        (changed(dimensions={"rows": 0, "slots": 1, "embedding": 0, "attention": 0}), "rows: "),
        (changed(files={"a": {"sha256": "x", "size": 1}}), "files.a.sha256: "),
        (changed(files={"a": {"sha256": DIGEST, "size": -1}}), "files.a.size: "),
        (changed(calibration={"scale": 0}), "calibration.scale: "),
        (changed(calibration={"rate": 1.5}), "calibration.rate: "),
    ],
    ids=range(18),
)
def test_manifest_that_is_none_is_refused_in_one_line(data: Any, says: str) -> None:
    with pytest.raises(BundleError) as caught:
        Manifest.parse(data, "manifest.json")
    message = str(caught.value)
    assert message.startswith("manifest.json: ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("key", ["version", "net", "task", "files", "dimensions", "calibration"])
def test_a_key_that_is_missing_is_named(key: str) -> None:
    body = json.loads(manifest().dumps())
    del body[key]
    with pytest.raises(BundleError, match=f"{key}: Field required"):
        Manifest.parse(json.dumps(body).encode(), "manifest.json")


def test_the_history_of_training_may_be_missing() -> None:
    body = json.loads(manifest().dumps())
    del body["training"]
    assert Manifest.parse(json.dumps(body).encode(), "manifest.json").training == {}


def test_a_manifest_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        manifest().net = "fm"
