"""Golden rows: replayed when a bundle is checked, and refused where they do not fit."""

from typing import Any

import pytest

from bundle_damage import reseal
from model.bundle.bundle import Bundle
from model.bundle.golden import GoldenCase, replay
from model.errors import BundleError
from narrowing import not_none


def test_golden_rows_that_score_differently_are_refused(copy: Any) -> None:
    bundle = Bundle.open(copy)
    cases = bundle.read_golden()
    replay(cases, bundle.read_encoder(), bundle.read_scorer())
    worse = GoldenCase(
        "moved", cases[0].request, [p + 1e-4 for p in not_none(cases[0].probabilities)]
    )
    with pytest.raises(BundleError, match=r"'moved': a probability differs by 0\.0001"):
        replay([worse], bundle.read_encoder(), bundle.read_scorer())


def test_golden_rows_hold_one_case_of_each_kind(tiny_bundle: Bundle) -> None:
    assert [case.case for case in tiny_bundle.read_golden()] == [
        "real rows",
        "all fields missing",
        "all values unknown",
        "one field given",
    ]


def test_golden_cases_that_do_not_fit_their_request_are_refused(tiny_bundle: Bundle) -> None:
    case = tiny_bundle.read_golden()[0]
    for bad in (
        GoldenCase("short", case.request, not_none(case.probabilities)[:-1]),
        GoldenCase("no rows", {}, []),
        GoldenCase("bad row", {"instances": [{"device": ["x"]}]}, [0.5]),
        GoldenCase("nan", case.request, [float("nan")] * len(not_none(case.probabilities))),
    ):
        with pytest.raises(BundleError, match=bad.case):
            replay([bad], tiny_bundle.read_encoder(), tiny_bundle.read_scorer())


@pytest.mark.parametrize("text", ["", "{}\n", "not json\n"])
def test_a_golden_file_that_is_none_is_refused(copy: Any, text: str) -> None:
    (copy / "golden.jsonl").write_text(text)
    reseal(copy)
    with pytest.raises(BundleError, match=r"golden\.jsonl"):
        Bundle.open(copy).read_golden()
