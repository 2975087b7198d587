"""From rows to the bytes of an answer: in slices, in turn with others, and not past a deadline."""

import asyncio
import json
from time import perf_counter
from typing import Any

import pytest

from model.bundle.bundle import Bundle
from model.errors import InputError
from service.errors import DeadlinePassed
from service.observe.metrics import Telemetry
from service.scoring.live_version import make_live
from service.scoring.payloads import ScoringRequest
from service.scoring.predictor import Predictor
from service.scoring.views import SLICE_ROWS, Explanations, Probabilities

ROW = {"device": "ios", "ad": "a1", "price": 3.5}


@pytest.fixture(scope="module")
def live(tiny_bundle: Bundle) -> Any:
    return make_live("ads", tiny_bundle, tiny_bundle.read_vocabulary_bytes())


def asked(rows: Any, context: Any = None, timeout_ms: Any = None, top: Any = 20) -> Any:
    return ScoringRequest(context or {}, rows, timeout_ms, top)


def answer(live: Any, request: Any, view: Any = None, telemetry: Any = None) -> Any:
    predictor = Predictor(view or Probabilities(), telemetry or Telemetry())
    return json.loads(asyncio.run(predictor.answer(live, request, perf_counter())))


def test_an_answer_names_model_and_version(live: Any, tiny_bundle: Bundle) -> None:
    found = answer(live, asked([ROW]))
    assert list(found) == ["model", "version", "degraded", "probabilities"]
    assert (found["model"], found["version"]) == ("ads", tiny_bundle.version)
    assert found["degraded"] is False


@pytest.mark.parametrize("count", [1, SLICE_ROWS - 1, SLICE_ROWS, SLICE_ROWS + 1, 3 * SLICE_ROWS])
def test_slices_join_to_one_list_in_order(live: Any, count: Any) -> None:
    rows = [{**ROW, "price": i / 7, "ad": f"a{i % 12}"} for i in range(count)]
    expected = live.scorer.predict(live.encoder.encode(rows)).probabilities
    for view in (Probabilities(), Explanations()):
        items = answer(live, asked(rows), view)[view.key]
        found = [item if isinstance(item, float) else item["probability"] for item in items]
        assert found == pytest.approx(expected.tolist(), abs=1e-6)


def test_both_views_name_the_same_probability_to_the_bit(live: Any) -> None:
    rows = [{**ROW, "price": i / 7, "ad": f"a{i % 12}"} for i in range(237)]
    probabilities = answer(live, asked(rows))["probabilities"]
    explained = answer(live, asked(rows), Explanations())["explanations"]
    assert [one["probability"] for one in explained] == probabilities


def test_other_requests_have_their_turn_between_two_slices(live: Any) -> None:
    finished = []
    predictor = Predictor(Probabilities(), Telemetry())

    async def ask(name: Any, rows: Any) -> None:
        await predictor.answer(live, asked(rows), perf_counter())
        finished.append(name)

    async def both() -> None:
        large = asyncio.create_task(ask("large", [ROW] * 20 * SLICE_ROWS))
        small = asyncio.create_task(ask("small", [ROW]))
        await asyncio.gather(large, small)

    asyncio.run(both())
    assert finished == ["small", "large"]


def test_a_deadline_ends_the_work_at_the_next_slice(live: Any) -> None:
    telemetry = Telemetry()
    rows = [ROW] * 400 * SLICE_ROWS  # far more than a machine scores in 5 ms
    started = perf_counter()
    with pytest.raises(DeadlinePassed, match="5 ms"):
        answer(live, asked(rows, timeout_ms=5), telemetry=telemetry)
    late = perf_counter() - started
    started = perf_counter()
    answer(live, asked(rows))
    assert late < (perf_counter() - started) / 2
    assert 'afm_rows_total{route="/predict"} 0.0' in telemetry.scrape().decode()


def test_a_fault_names_its_row_in_the_whole_request(live: Any) -> None:
    rows = [ROW] * (2 * SLICE_ROWS + 7) + [{"price": "x"}]
    with pytest.raises(InputError) as caught:
        answer(live, asked(rows))
    assert (caught.value.row, caught.value.field) == (2 * SLICE_ROWS + 7, "price")


def test_unknown_values_are_summed_up_over_the_slices(live: Any) -> None:
    telemetry = Telemetry()
    rows = [{"ad": f"new {i}", "extra": 1} for i in range(2 * SLICE_ROWS + 1)]
    answer(live, asked(rows, context={"device": "ios", "more": 1}), telemetry=telemetry)
    text = telemetry.scrape().decode()
    assert f'afm_unknown_values_total{{field="ad"}} {2 * SLICE_ROWS + 1}.0' in text
    assert "afm_ignored_keys_total 2.0" in text  # different keys, not their occurrences


def test_an_explained_candidate_shows_the_context_s_values_too(live: Any) -> None:
    request = asked([{"ad": "a1"}, {"ad": "a2", "device": "web"}], context={"device": "ios"})
    explained = answer(live, request, Explanations())["explanations"]
    shown = [{t["field"]: t["value"] for t in one["linear"]} for one in explained]
    assert [(row["device"], row["ad"]) for row in shown] == [("ios", "a1"), ("web", "a2")]
