"""The labelled rows that the gate compares on: those that a bundle keeps, or those of a file."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judged_bundles import log, made
from model.bundle.files import VALIDATION
from model.bundle.labelled_rows import LabelledRows
from model.errors import BundleError
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.gate.publish_gate import PublishGate
from service.versions.publish import publish


def test_a_file_of_rows_is_compared_on_instead(
    good: Any, constant: Any, fresh: Any, store: VersionStore, bundles: BundleStore
) -> None:
    publish(constant.directory, store, bundles)
    done = publish(good.directory, store, bundles, gate=PublishGate(rows=fresh))
    assert all("2000 rows)" in line for line in done.saw)
    rows = LabelledRows.parse(fresh.read_bytes(), "fresh")
    ours = (
        good.read_scorer()
        .predict(good.read_encoder().encode(rows.rows))
        .probabilities.astype(float)
    )
    loss = -np.log(np.where(rows.labels == 1, ours, 1 - ours)).mean()
    assert f"logloss {loss:.5f}" in done.saw[1]


def test_the_rows_kept_are_rows_held_out_with_their_labels(good: Any) -> None:
    rows = good.read_validation()
    held = good.manifest.metrics["valid"]
    assert (len(rows), int(rows.labels.sum())) == (held["rows"], held["positives"])
    scored = good.read_scorer().predict(good.read_encoder().encode(rows.rows)).probabilities
    loss = -np.log(np.where(rows.labels == 1, scored, 1 - scored)).mean()
    assert loss == pytest.approx(held["logloss"], rel=1e-5)


def test_as_many_rows_are_kept_as_are_configured(home: Path) -> None:
    assert len(made(home / "few", validation_rows=50).read_validation()) == 50


def test_weights_are_kept_with_their_rows(home: Path) -> None:
    weights = np.linspace(0.5, 2, 3000).astype(np.float32)
    kept = made(home / "weighed", data=log(weights=weights)).read_validation()
    assert set(np.unique(kept.weights)) <= set(weights.astype(float))
    assert len(np.unique(kept.weights)) > 100


def test_a_bundle_without_rows_passes_with_a_word(
    home: Path, good: Any, store: VersionStore, bundles: BundleStore
) -> None:
    bare = made(home / "bare", validation_rows=0)
    assert bare.read_validation() is None
    assert VALIDATION not in bare.manifest.files
    publish(good.directory, store, bundles)
    done = publish(bare.directory, store, bundles, gate=PublishGate())
    assert done.saw == ["not compared: the bundle holds no validation rows; give --on FILE"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("", "no labelled row"),
        ('{"row": {"price": "high"}, "label": 1}', "row 1: "),
        ("a,b\n1,2", "line 1: not a labelled row"),
    ],
)
def test_a_file_that_holds_no_rows_of_this_schema_is_refused(
    good: Any,
    store: VersionStore,
    bundles: BundleStore,
    tmp_path: Path,
    text: str | None,
    says: str,
) -> None:
    path = tmp_path / "rows.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BundleError, match=says):
        publish(good.directory, store, bundles, gate=PublishGate(rows=path))
    assert store.active() is None


def test_too_few_clicks_to_judge_by_are_told(
    good: Any, store: VersionStore, bundles: BundleStore, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"row": {"ad": "a1"}, "label": 0}\n' * 5)
    (line,) = publish(good.directory, store, bundles, gate=PublishGate(rows=path)).saw
    assert line == "calibration: not known, too few clicks in 5 rows"


def test_a_forged_sample_is_refused_before_anything_is_compared(
    good: Any, store: VersionStore, bundles: BundleStore, tmp_path: Path
) -> None:
    copied = shutil.copytree(good.directory, tmp_path / "copied")
    path = copied / VALIDATION
    path.write_bytes(path.read_bytes().replace(b'"label": 0', b'"label": 1', 1))
    with pytest.raises(BundleError, match=r"validation\.jsonl: damaged"):
        publish(copied, store, bundles, gate=PublishGate())


def test_bundle_keeps_its_validation_rows_as_plain_json_lines(good: Any) -> None:
    lines = (good.directory / VALIDATION).read_text().splitlines()
    assert all(json.loads(line)["row"].keys() == good.schema.fields.keys() for line in lines)
