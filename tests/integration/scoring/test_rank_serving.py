"""A context with its ads, from request to answer: whichever graph scores it, the answer is one."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from model.bundle.bundle import Bundle
from model.bundle.files import RANK
from model.errors import BundleError
from model.nets import NETS
from model.schema import Schema
from service.limits import CacheLimits
from service.observe.metrics import Telemetry
from service.scoring.live_version import make_live
from service.scoring.payloads import ScoringRequest
from service.scoring.predictor import Predictor
from service.scoring.unread_rows import RawRows
from service.scoring.views import SLICE_ROWS, Explanations, Probabilities
from tiny import TINY_SCHEMA, tiny_rows
from training.config import Config, Step
from training.data.log import Log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher

CACHE = CacheLimits(1000, 1 << 20)
CONTEXT = {"device": "ios", "hour": 21, "interests": ["cars", "golf"]}


def ads(count: Any, seed: Any = 0) -> Any:
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(count):
        ad = {"ad": f"a{rng.integers(14)}", "price": round(float(rng.gamma(2, 3)), 2)}
        drawn.append({key: value for key, value in ad.items() if rng.random() > 0.1})
    return drawn


def raw_rows(rows: Any) -> Any:
    return RawRows([json.dumps(row).encode() for row in rows])


def live_of(bundle: Any, rank_from: Any, cache: Any = CACHE) -> Any:
    live = make_live("ads", bundle, bundle.read_vocabulary_bytes(), cache)
    live.scorer.rank_from = rank_from
    return live


def answer(live: Any, context: Any, rows: Any, view: Any = None, top: Any = 20) -> Any:
    predictor = Predictor(view or Probabilities(), Telemetry())
    asked = ScoringRequest(context, raw_rows(rows) if context else rows, None, top)
    return json.loads(asyncio.run(predictor.answer(live, asked, perf_counter())))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("count", [1, 3, SLICE_ROWS, SLICE_ROWS + 37])
def test_both_request_forms_and_both_graphs_agree(
    make_bundle: Callable[..., Bundle], name: Any, count: Any
) -> None:
    bundle = make_bundle(name)
    rows = ads(count)
    ranked = answer(live_of(bundle, 1), CONTEXT, rows)["probabilities"]
    plain = answer(live_of(bundle, None), CONTEXT, rows)["probabilities"]
    whole = answer(live_of(bundle, 1), {}, [{**CONTEXT, **row} for row in rows])["probabilities"]
    assert len(ranked) == count
    assert ranked == pytest.approx(plain, abs=1e-6)
    assert whole == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_an_explanation_names_the_probability_of_the_rank_graph_to_the_bit(
    make_bundle: Callable[..., Bundle], name: Any
) -> None:
    live = live_of(make_bundle(name), 1)
    rows = ads(SLICE_ROWS + 9)
    explained = answer(live, CONTEXT, rows, Explanations())["explanations"]
    probabilities = answer(live, CONTEXT, rows)["probabilities"]
    assert [one["probability"] for one in explained] == probabilities


@pytest.mark.parametrize("name", [name for name in NETS if name != "nfm"])
@pytest.mark.parametrize("top", [0, 2, None])
def test_terms_add_up_to_the_logit_of_the_rank_graph(
    make_bundle: Callable[..., Bundle], name: Any, top: int | None
) -> None:
    live = live_of(make_bundle(name), 1)
    for one in answer(live, CONTEXT, ads(40), Explanations(), top)["explanations"]:
        terms = [t["contribution"] for part in ("linear", "pairs") for t in one[part]]
        added = one["bias"] + sum(terms) + one["rest"]["contribution"]
        assert added == pytest.approx(one["logit"], abs=1e-5)


def test_an_ad_that_overrides_its_context_is_scored_as_it_says(tiny_bundle: Bundle) -> None:
    live = live_of(tiny_bundle, 1)
    rows = [{"ad": "a1"}, {"ad": "a1", "device": "web"}]
    found = answer(live, CONTEXT, rows)["probabilities"]
    alone = [answer(live, {}, [{**CONTEXT, **row}])["probabilities"][0] for row in rows]
    assert found == pytest.approx(alone, abs=1e-6)
    assert found[0] != found[1]


def test_a_field_of_the_ads_may_stand_in_the_context(tiny_bundle: Bundle) -> None:
    live = live_of(tiny_bundle, 1)
    found = answer(live, {**CONTEXT, "price": 3.5}, [{"ad": "a1"}, {"ad": "a1", "price": 9}])
    expected = answer(live, CONTEXT, [{"ad": "a1", "price": 3.5}, {"ad": "a1", "price": 9}])
    assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-7)


def test_unknown_values_and_missing_fields_are_scored_by_the_rank_graph_too(
    tiny_bundle: Bundle,
) -> None:
    rows = [{"ad": "never seen"}, {"price": None}, {"ad": "a1", "price": 1e9}]
    contexts: list[dict[str, Any]] = [{"device": "toaster"}, {"hour": None}, {"interests": []}]
    for context in contexts:
        ranked = answer(live_of(tiny_bundle, 1), context, rows)["probabilities"]
        plain = answer(live_of(tiny_bundle, None), context, rows)["probabilities"]
        assert ranked == pytest.approx(plain, abs=1e-6)


def test_warming_up_chooses_the_graphs_by_measurement(tiny_bundle: Bundle) -> None:
    chosen = make_live("ads", tiny_bundle, tiny_bundle.read_vocabulary_bytes()).scorer.rank_from
    assert chosen is None or 1 <= chosen <= 64


def test_a_bundle_without_a_rank_graph_is_served_plainly(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    copy = tmp_path / "older"
    shutil.copytree(tiny_bundle.directory, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"][RANK]
    (copy / RANK).unlink()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    older = make_live("ads", Bundle.open(copy), tiny_bundle.read_vocabulary_bytes())
    assert not older.scorer.has_rank
    rows = ads(30)
    newer = answer(live_of(tiny_bundle, 1), CONTEXT, rows)["probabilities"]
    assert answer(older, CONTEXT, rows)["probabilities"] == pytest.approx(newer, abs=1e-6)


def test_a_damaged_rank_graph_is_refused_by_name(tiny_bundle: Bundle, tmp_path: Path) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(tiny_bundle.directory, copy)
    data = bytearray((copy / RANK).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / RANK).write_bytes(data)
    with pytest.raises(BundleError, match=r"rank\.onnx: damaged"):
        Bundle.open(copy)


def test_a_schema_of_context_fields_alone_is_fitted_and_served(tmp_path: Path) -> None:
    schema = Schema.parse(TINY_SCHEMA.replace('role = "candidate"\n', ""))
    drawn = tiny_rows()
    columns = {name: [row[name] for row in drawn] for name in schema.fields}
    log = Log(columns, np.array([row["click"] for row in drawn], np.float32))
    step = Step(epochs=1, batch=128)
    config = Config(net="fm", embedding=4, fit=step)
    fit(log, None, None, schema, config, tmp_path / "bundle", 1, Watcher())
    bundle = Bundle.open(tmp_path / "bundle")
    assert RANK not in bundle.manifest.files
    live = make_live("ads", bundle, bundle.read_vocabulary_bytes())
    assert len(answer(live, CONTEXT, ads(3))["probabilities"]) == 3
