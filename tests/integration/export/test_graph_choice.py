"""Which graph a scorer takes: whole rows, or the rank graph from a measured number of ads on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.encoding import Encoded
from model.scorer import Scorer, Scores
from rank_rows import SPLITS, net_of, scorer_of, shared_rows, shared_slate


def counted(scorer: Scorer) -> list[str]:
    """The names of its methods that score, as they are called."""
    calls: list[str] = []

    def watched(name: str) -> Callable[[Any], Scores]:
        method: Callable[[Any], Scores] = getattr(scorer, name)

        def call(encoded: Any) -> Scores:
            calls.append(name)
            return method(encoded)

        return call

    for name in ("rank", "predict_plainly"):
        setattr(scorer, name, watched(name))
    return calls


def fifty_times(score: Any) -> Any:
    def slowly(encoded: Any) -> Any:
        for _ in range(49):
            score(encoded)
        return score(encoded)

    return slowly


def test_rows_of_one_context_go_through_the_rank_graph_from_the_chosen_number_on(
    tmp_path: Path,
) -> None:
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of("afm"), tmp_path, candidate)
    scorer.rank_from = 4
    calls = counted(scorer)
    for count in (3, 4, 5):
        scorer.predict(shared_slate(count, candidate))
    assert calls == ["predict_plainly", "rank", "rank"]


def test_instances_never_use_the_rank_graph(tmp_path: Path) -> None:
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of("afm"), tmp_path, candidate)
    scorer.rank_from = 1
    calls = counted(scorer)
    encoded = shared_rows(8, candidate)
    scorer.predict(Encoded(encoded.ids, encoded.values))
    assert calls == ["predict_plainly"]


def test_a_slower_rank_graph_is_never_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of("afm"), tmp_path, candidate)
    rank = scorer.rank
    monkeypatch.setattr(scorer, "rank", fifty_times(rank))
    scorer.choose_graphs(shared_slate(8, candidate))
    assert scorer.rank_from is None


def test_a_faster_one_is_chosen_for_every_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = SPLITS["interleaved"]
    scorer = scorer_of(net_of("afm"), tmp_path, candidate)
    plainly = scorer.predict_plainly
    monkeypatch.setattr(scorer, "predict_plainly", fifty_times(plainly))
    scorer.choose_graphs(shared_slate(8, candidate))
    assert scorer.rank_from == 1
