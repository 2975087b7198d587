"""What a field learns from its column: ids that stay, scales and bins."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BundleError
from model.schema import Schema
from model.values.ids import FIRST
from model.values.scales import Bins, Scaler
from model.vocabulary import (
    LEAST_KEPT,
    Vocabulary,
    fit_vocabulary,
    from_bytes,
    grow_vocabulary,
    to_bytes,
)
from narrowing import of_class


def field(**settings: Any) -> Any:
    body = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    return Schema.parse(f'label = "y"\n[fields.f]\n{body}\n').fields["f"]


def test_values_below_min_count_are_left_out_and_the_frequent_come_first() -> None:
    column = ["a"] * 2 + ["b"] * 3 + ["rare"] + [None] * 5 + [""] * 5
    learnt = fit_vocabulary(field(kind="categorical"), column)
    assert learnt == Vocabulary(("b", "a"), rare_counts={"rare": 1})


def test_forms_of_one_value_are_counted_together_and_look_alikes_are_not() -> None:
    column = [1, "1", 1.0, True, "True", 0, False]
    assert of_class(
        Vocabulary, fit_vocabulary(field(kind="categorical", min_count=2), column)
    ).values == ("1", "true")


def test_a_vocabulary_takes_a_row_for_each_value_beside_the_three_reserved() -> None:
    assert Vocabulary(()).size == FIRST
    assert Vocabulary(("a", "b")).size == FIRST + 2


def test_values_beyond_max_values_are_not_learnt_since_they_are_never_fed() -> None:
    learnt = of_class(
        Vocabulary,
        fit_vocabulary(
            field(kind="multivalue", max_values=2, min_count=1), [["a", "b", "c"], "a|d|e"]
        ),
    )
    assert set(learnt.values) == {"a", "b", "d"}


def test_a_vocabulary_grows_at_its_end_so_that_known_values_keep_their_ids() -> None:
    newer = ["z"] * 9 + ["b"] * 5 + ["y"] * 9 + ["x"] * 12
    grown = grow_vocabulary(Vocabulary(("a", "b")), field(kind="categorical"), newer)
    assert grown == Vocabulary(("a", "b", "x", "y", "z"))


def test_a_new_value_is_admitted_from_min_count_rows_on_and_a_known_one_needs_none() -> None:
    newer = ["twice"] * 2 + ["thrice", 3] * 3 + ["3.0"]
    grown = grow_vocabulary(Vocabulary(("a",)), field(kind="categorical", min_count=3), newer)
    assert grown == Vocabulary(("a", "3", "thrice"), rare_counts={"twice": 2})


def test_a_value_that_is_rare_each_day_is_admitted_when_its_days_add_up() -> None:
    known: Any = Vocabulary(("a",))
    described = field(kind="categorical", min_count=3)
    for day in (["daily", "a"], ["daily", "other"], [3, "daily"]):
        known = grow_vocabulary(known, described, day)
    assert known == Vocabulary(("a", "daily"), rare_counts={"3": 1, "other": 1})


def test_a_rare_value_is_admitted_by_rows_of_today_not_by_a_lower_min_count() -> None:
    known = Vocabulary((), rare_counts={"absent": 4, "today": 4})
    grown = grow_vocabulary(known, field(kind="categorical", min_count=2), ["today"])
    assert grown == Vocabulary(("today",), rare_counts={"absent": 4})


def test_no_more_counts_are_kept_than_values_and_the_most_frequent_and_latest_are() -> None:
    described = field(kind="categorical", min_count=3)
    known = grow_vocabulary(Vocabulary(()), described, [f"old-{n}" for n in range(LEAST_KEPT)])
    grown = of_class(
        Vocabulary, grow_vocabulary(known, described, ["twice", "twice", "new", "old-7"])
    )
    assert len(grown.rare_counts) == LEAST_KEPT
    assert list(grown.rare_counts)[:3] == ["old-7", "twice", "new"]
    assert grown.rare_counts["old-7"] == 2
    many = Vocabulary(tuple(f"v{n}" for n in range(2 * LEAST_KEPT)))
    rare = [f"r{n}" for n in range(3 * LEAST_KEPT)]
    assert (
        len(of_class(Vocabulary, grow_vocabulary(many, described, rare)).rare_counts)
        == 2 * LEAST_KEPT
    )


def test_a_vocabulary_without_counts_is_written_and_read_as_ever() -> None:
    data = b'{"kind":"vocabulary","values":["a","b"]}\n'
    assert from_bytes(data, "f.json") == Vocabulary(("a", "b"))
    assert to_bytes(Vocabulary(("a", "b"))) == data


def test_a_multivalued_field_grows_by_the_values_that_are_fed() -> None:
    described = field(kind="multivalue", max_values=2, min_count=1)
    grown = grow_vocabulary(Vocabulary(("a",)), described, [["b", "a", "never fed"], "c|b"])
    assert grown == Vocabulary(("a", "b", "c"))


def test_vocabulary_grown_by_no_value_is_equal() -> None:
    known = Vocabulary(("b", "a"))
    assert grow_vocabulary(known, field(kind="categorical"), ["a", "a", "b", None]) == known


@pytest.mark.parametrize("known", [Scaler(0.0, 1.0, 0.5, 0.25), Bins((1.0, 2.0))])
def test_a_scale_and_bins_stay_whatever_newer_numbers_are(known: Any) -> None:
    assert grow_vocabulary(known, field(kind="numeric"), [100.0, -7.0]) is known


def test_standardise_gives_mean_zero_and_deviation_one() -> None:
    scaler = of_class(Scaler, fit_vocabulary(field(kind="numeric"), [1.0, 2, None, 6]))
    x = scaler.transform(np.array([1.0, 2, 6]))
    assert x.mean() == pytest.approx(0)
    assert x.std() == pytest.approx(1)


def test_log1p_keeps_zero_and_sign_and_has_unit_size() -> None:
    scaler = of_class(
        Scaler, fit_vocabulary(field(kind="numeric", transform="log1p"), [-5.0, 0.0, 100.0])
    )
    x = scaler.transform(np.array([-5.0, 0.0, 100.0]))
    assert x[1] == 0
    assert x[0] / x[2] == pytest.approx(-np.log(6) / np.log(101))
    assert np.sqrt((x**2).mean()) == pytest.approx(1)


def test_scale_none_leaves_numbers_as_they_are() -> None:
    scaler = of_class(Scaler, fit_vocabulary(field(kind="numeric", transform="none"), [-1.0, 4.0]))
    assert scaler.transform(np.array([-1.0, 0.5, 4.0])).tolist() == [-1.0, 0.5, 4.0]


def test_a_number_beyond_the_range_seen_is_scored_as_the_nearest_one_seen() -> None:
    scaler = of_class(Scaler, fit_vocabulary(field(kind="numeric"), [0.0, 10.0]))
    assert scaler.transform(np.array([1e300, -1e300])).tolist() == [1.0, -1.0]


@pytest.mark.parametrize("transform", ["standardise", "log1p", "none"])
@pytest.mark.parametrize("column", [[], [None, None], [0.0, 0.0], [3.0]])
def test_a_column_without_spread_gives_finite_numbers(transform: str, column: Any) -> None:
    scaler = of_class(Scaler, fit_vocabulary(field(kind="numeric", transform=transform), column))
    assert np.isfinite(scaler.transform(np.array([-1.0, 0.0, 3.0]))).all()


def test_quantile_bins_hold_equal_shares() -> None:
    bins = of_class(
        Bins,
        fit_vocabulary(
            field(kind="numeric", transform="quantile", bins=4), [float(n) for n in range(100)]
        ),
    )
    _, counts = np.unique(bins.locate(np.arange(100.0)), return_counts=True)
    assert bins.size == FIRST + 4
    assert counts.min() >= 24


def test_no_bin_is_left_without_a_training_row() -> None:
    numbers = [0.0] * 80 + [1.0] * 15 + [2.0] * 5
    bins = of_class(
        Bins, fit_vocabulary(field(kind="numeric", transform="quantile", bins=10), numbers)
    )
    seen = set(bins.locate(np.array(numbers)).tolist())
    assert seen == set(range(FIRST, bins.size))


@given(st.data(), st.integers(2, 40))
def test_a_number_of_more_than_its_share_of_rows_has_a_bin_of_its_own(data: Any, most: Any) -> None:
    frequent = st.sampled_from([-1.0, 0.0, 5.5])
    column = data.draw(st.lists(frequent | st.integers(-3, 9).map(float) | st.floats(-1e9, 1e9)))
    numbers = np.array(column)
    bins = Bins.fit(numbers, most)
    ids = bins.locate(numbers)
    assert sorted(set(bins.edges)) == list(bins.edges)  # the order is kept
    assert set(ids.tolist()) == set(range(FIRST, bins.size)) or not column
    values, counts = np.unique(numbers, return_counts=True)
    for value in values[counts * most > len(numbers)]:
        assert set(numbers[ids == bins.locate_one(value)]) == {value}
    if len(values) >= 3 and most >= 3:
        assert bins.size >= FIRST + 3


def test_a_counter_that_is_mostly_zero_keeps_its_bins() -> None:
    numbers = np.concatenate([np.zeros(9200), np.arange(1.0, 801.0)])
    bins = of_class(
        Bins, fit_vocabulary(field(kind="numeric", transform="quantile"), numbers.tolist())
    )
    assert bins.size == FIRST + 32
    _, counts = np.unique(bins.locate(numbers), return_counts=True)
    assert counts[0] == 9200
    assert counts[1:].min() >= 24


def test_a_number_right_above_a_frequent_one_is_not_taken_for_it() -> None:
    bins = Bins.fit(np.array([0.0] * 90 + [3.0] * 5 + [7.0] * 5), 8)
    assert bins.locate(np.array([0.0, 0.001, 3.0, 7.0])).tolist() == [3, 4, 4, 5]


@given(st.data(), st.integers(2, 40))
def test_a_number_that_a_float32_has_changed_stays_in_its_bin(data: Any, most: int) -> None:
    cents = st.integers(-1_000_000, 1_000_000).map(lambda n: n / 100)
    frequent = st.sampled_from([-9.99, 0.0, 5.5, 2.38])
    numbers = np.array(data.draw(st.lists(frequent | cents)))
    bins = Bins.fit(numbers, most)
    rounded = numbers.astype(np.float32).astype(np.float64)
    assert bins.locate(rounded).tolist() == bins.locate(numbers).tolist()


@given(st.lists(st.floats(-1e300, 1e300) | st.sampled_from([0.0, 1.0]), min_size=1))
def test_each_bin_has_an_example(numbers: list[float]) -> None:
    bins = Bins.fit(np.array(numbers), 8)
    found = bins.locate(np.array(bins.examples())).tolist()
    assert found == list(range(FIRST, bins.size))


def test_an_edge_between_two_numbers_has_few_digits() -> None:
    assert Bins.fit(np.array([2.37, 2.38, 7.0, 9000.0]), 4).edges == (2.375, 5.0, 5000.0)


def test_numbers_beyond_the_edges_fall_into_the_outer_bins() -> None:
    bins = Bins((1.0, 2.0))
    assert bins.locate(np.array([-9.0, 1.0, 99.0])).tolist() == [FIRST, FIRST + 1, FIRST + 2]


@pytest.mark.parametrize(
    "learnt",
    [
        Vocabulary(("a", 'quote"', "é\u0001", "")),
        Vocabulary(()),
        Vocabulary(("a",), rare_counts={"é": 2, "b": 1}),
        Scaler(-1.0, 2.5, 0.1, 3.0, log=True),
        Bins((0.1, 0.2)),
    ],
)
def test_what_is_written_reads_back_equal(learnt: Any) -> None:
    data = to_bytes(learnt)
    assert from_bytes(data, "f.json") == learnt
    assert to_bytes(from_bytes(data, "f.json")) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"kind":"pickle"}',
        b'{"kind":"vocabulary","values":["a","a"]}',
        b'{"kind":"vocabulary","values":[1]}',
        b'{"kind":"vocabulary","values":[],"refused":{"a":"1"}}',
        b'{"kind":"vocabulary","values":[],"refused":{"a":0}}',
        b'{"kind":"vocabulary","values":[],"refused":[1]}',
        b'{"kind":"bins","edges":[2.0,1.0]}',
        b'{"kind":"bins","edges":[NaN]}',
        b'{"kind":"scaler","low":0,"high":1,"shift":0,"scale":0,"log":false}',
        b'{"kind":"scaler","low":2,"high":1,"shift":0,"scale":1,"log":false}',
        b'{"kind":"scaler","low":0,"high":Infinity,"shift":0,"scale":1,"log":false}',
        b'{"kind":"scaler","colour":0}',
        b"\xff\xfe",
    ],
)
def test_bytes_that_are_no_vocabulary_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"^f\.json: not a vocabulary"):
        from_bytes(data, "f.json")
