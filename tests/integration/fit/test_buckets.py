"""A fit with buckets: the bundle, the service, what-if and the what-if file give a value the row
that the fit trained.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app_server import client_of
from model.bundle.bundle import Bundle
from model.schema import Schema
from model.values.buckets import bucket_of
from model.values.ids import FIRST, MISSING, UNKNOWN
from model.vocabulary import Buckets
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.publish import publish
from tiny import tiny_rows
from training.config import Config, Step
from training.data.log import Log
from training.export.what_if_file import write_what_if
from training.fit.fit import fit
from training.fit.step.watcher import Watcher

BUCKETS = 40
SCHEMA = Schema.parse(f"""
label = "click"
[fields.device]
kind = "categorical"
[fields.interests]
kind = "multivalue"
max_values = 3
buckets = {BUCKETS}
[fields.ad]
kind = "categorical"
role = "candidate"
buckets = {BUCKETS}
""")
NEW = "never seen"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    rows = tiny_rows(2000)
    columns = {name: [row[name] for row in rows] for name in SCHEMA.fields}
    log = Log(columns, np.array([row["click"] for row in rows], np.float32))
    step = Step(epochs=3, batch=128, learning_rate=0.02)
    config = Config(net="fm", embedding=4, attention_size=4, fit=step, attention=step)
    out = tmp_path_factory.mktemp("buckets") / "bundle"
    fit(log, None, None, SCHEMA, config, out, 1, Watcher())
    return Bundle.open(out)


def test_the_bundle_has_buckets_and_the_most_frequent_values(bundle: Bundle) -> None:
    learnt = bundle.read_vocabularies()["ad"]
    assert isinstance(learnt, Buckets)
    assert sorted(learnt.values) == sorted(f"a{i}" for i in range(12))
    assert learnt.size == FIRST + BUCKETS


def test_the_service_scores_by_the_bucket_of_the_value(
    bundle: Bundle, redis_url: str, tmp_path: Path, store: VersionStore, bundles: BundleStore
) -> None:
    publish(bundle.directory, store, bundles, packed_above=0, remote_fields_above=0)
    encoder = bundle.read_encoder()
    offset = encoder.offsets[-1]
    rows = [{"device": "ios", "ad": ad} for ad in ("a1", "a2", NEW)]
    ids = encoder.encode(rows).ids[:, -1] - offset - FIRST
    assert ids.tolist() == [bucket_of(str(row["ad"]), BUCKETS) for row in rows]
    expected = bundle.read_scorer().predict(encoder.encode(rows)).probabilities
    assert expected is not None
    with client_of(redis_url, tmp_path) as client:
        asked = {"context": {"device": "ios"}, "candidates": [{"ad": row["ad"]} for row in rows]}
        answer = client.post("/predict", json=asked).json()
        assert answer["probabilities"] == pytest.approx(expected.tolist(), abs=1e-6)
        tried = client.post("/whatif", json={**asked, "row": 2, "field": "ad"}).json()
    values = dict(zip(tried["values"], tried["answers"], strict=True))
    assert values["a1"] == pytest.approx(expected[0], abs=1e-6)


def test_the_what_if_file_has_the_rows_of_the_buckets(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "whatif.html"
    assert write_what_if(bundle.directory, out).cut["ad"] == (12, BUCKETS)
    data: Any = re.search(r'id="portable">(.*?)</script>', out.read_text(encoding="utf-8"))
    held = json.loads(data[1])
    ads = next(one for one in held["encoding"] if one["name"] == "ad")
    sizes = bundle.manifest.dimensions
    table = _floats(held["net"]["parameters"]["embedding"], sizes.embedding)
    offset = int(bundle.read_encoder().offsets[-1])
    whole = np.fromfile(bundle.directory / "weights.bin", "<f4")
    for place, value in enumerate(ads["values"]):
        row = table[ads["offset"] + FIRST + place]
        trained = offset + FIRST + bucket_of(value, BUCKETS)
        assert _stands_at(whole, row, trained), value


def test_a_bucket_without_a_value_is_as_an_unknown_value(bundle: Bundle) -> None:
    encoder, scorer = bundle.read_encoder(), bundle.read_scorer()
    used = {bucket_of(f"a{i}", BUCKETS) for i in range(12)}
    empty = next(bucket for bucket in range(BUCKETS) if bucket not in used)
    encoded = encoder.encode([{"device": "ios", "ad": "a1"}] * 3)
    encoded.ids[:, -1] = encoder.offsets[-1] + np.array([FIRST + empty, UNKNOWN, MISSING])
    logits = scorer.predict_plainly(encoded).logits
    assert logits[0] == logits[1]


def _floats(text: str, width: int) -> Any:
    import base64

    return np.frombuffer(base64.b64decode(text), "<f4").reshape(-1, width)


def _stands_at(weights: Any, row: Any, trained: int) -> bool:
    # whether the parameters have these numbers at this row of a table, wherever the table begins
    starts = range(0, len(weights), 1024)  # a page of float32
    at = trained * len(row)
    return any(np.array_equal(weights[s + at : s + at + len(row)], row) for s in starts)
