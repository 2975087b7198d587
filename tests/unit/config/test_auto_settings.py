"""Settings that are "auto": by the rows trained on, or of a few that are tried."""

from typing import Any

import pytest

from training.config import (
    CLASSED,
    FEWEST_TO_CHOOSE,
    LARGEST_BATCH,
    MOST_PENALTY,
    TRIED,
    Config,
    Step,
)


@pytest.mark.parametrize(
    ("rows", "batch"),
    [
        (1, 64),
        (4_999, 64),
        (5_000, 256),
        (9_000, 256),
        (102_399, 256),
        (102_400, 512),
        (10**6, 4096),
        (10**9, 4096),
    ],
)
def test_a_batch_is_larger_where_there_are_more_rows(rows: Any, batch: int) -> None:
    sized = Step().sized(rows)
    assert sized.batch == batch
    assert sized.learning_rate == pytest.approx(2e-3 * max(batch / 256, 1) ** 0.5)


def test_the_penalty_beside_the_summed_loss_is_the_same_for_every_log() -> None:
    assert Step().sized(10**4).l2_embedding * 10**4 == pytest.approx(TRIED[0][0])
    assert Step().sized(100).l2_embedding == MOST_PENALTY
    assert Step().sized(10**6).l2_embedding * 10**6 == pytest.approx(TRIED[0][0])


def test_a_setting_that_is_given_stays_and_sized_steps_stay_as_they_are() -> None:
    given = Step(batch=7, learning_rate=0.3, dropout=0.2, l2_linear=0.02, l2_embedding=0.01)
    sized = given.sized(10**6)
    assert sized.model_dump() == given.model_dump() | {"count_classes": False}
    assert sized.sized(10) == sized


def test_several_penalties_are_tried_where_none_is_given_and_rows_are_enough() -> None:
    rows = FEWEST_TO_CHOOSE
    own = Step().sized(rows).batch
    found, classed = (
        [
            (
                step.l2_embedding * rows,
                step.l2_linear * rows,
                step.dropout,
                step.count_classes,
                step.learning_rate / Step(batch=step.batch).sized(rows).learning_rate,
                step.batch / own,
            )
            for step in tried
        ]
        for tried in (Step().tried(rows), Step().tried(rows, classed=True))
    )
    assert found == [pytest.approx(one) for one in TRIED]
    assert classed == [pytest.approx(one) for one in (CLASSED, TRIED[0], TRIED[2])]
    assert [step.batch for step in Step(batch=100).tried(rows, classed=True)] == [100] * 3
    assert {step.batch for step in Step().tried(10**8, classed=True)} == {LARGEST_BATCH}
    assert [step.learning_rate for step in Step(learning_rate=0.1).tried(rows)] == [0.1] * 3
    without = Step(count_classes=False).tried(rows, classed=True)
    assert not any(step.count_classes for step in without)
    assert [step.dropout for step in Step(dropout=0.1).tried(rows)] == [0.1] * len(TRIED)
    assert [step.l2_linear for step in Step(l2_linear=0.1).tried(rows)] == [0.1] * len(TRIED)
    assert Step().tried(rows - 1) == (Step().sized(rows - 1),)
    assert Step(l2_embedding=0.1).tried(rows) == (Step(l2_embedding=0.1).sized(rows),)


def test_attention_takes_what_was_chosen_before_it_unless_it_has_its_own() -> None:
    fit = Step(l2_embedding=0.25, l2_linear=0.125, dropout=0.5).sized(100)
    settled = Config().settled(100, 5, fit)
    assert settled.fit == fit
    attention = settled.attention
    assert (attention.l2_embedding, attention.l2_linear, attention.dropout) == (0.25, 0.125, 0.5)
    own = Config(attention=Step(l2_embedding=0.0)).settled(100, 5, fit).attention
    assert (own.l2_embedding, own.dropout) == (0.0, 0.5)


@pytest.mark.parametrize(("fields", "size"), [(1, 16), (10, 12), (24, 5), (39, 4), (400, 4)])
def test_the_vectors_of_a_value_of_ffm_are_about_as_many_floats_on_any_number_of_fields(
    fields: int, size: int
) -> None:
    assert Config().of_ffm(fields) == size
    assert Config(ffm_embedding=7).of_ffm(fields) == 7
    settled = Config().settled(100, fields)
    assert settled.ffm_embedding == size
    assert settled.settled(10**6, fields) == settled


@pytest.mark.parametrize(("fields", "size"), [(1, 4), (16, 4), (24, 2), (400, 2)])
def test_vectors_with_count_classes_are_four_times_as_long_when_these_are_folded(
    fields: Any, size: Any
) -> None:
    assert Config().of_classed_ffm(fields) == size
    fit = Step(count_classes=True).sized(100)
    assert Config().settled(100, fields, fit).ffm_embedding == 4 * size
    assert Config(ffm_embedding=7).settled(100, fields, fit).ffm_embedding == 7
