"""What a search says of itself: words, table and page."""

import re
from typing import Any

import pytest

from narrowing import not_none
from training.config import Config
from training.search.trials import Ended, Tuned, best_of
from training.search.tune_report import format_trial, printed, tune_report

SETTINGS = {"net": "fm", "seed": 3, "rows": [800, 100]}


def trial(
    number: Any, loss: Any, state: Any = "complete", auc: Any = 0.7, **parameters: Any
) -> Any:
    parameters = {"fit.learning_rate": 0.01, "embedding": 8} | parameters
    return Ended(number, state, parameters, loss, auc, 1.5, (loss + 0.1, loss))


def tuned(*trials: Any) -> Any:
    best = best_of(list(trials))
    return Tuned("valid logloss", list(trials), best, Config() if best else None, False)


def page(*trials: Any) -> Any:
    return tune_report(tuned(*trials), Config(net="fm"), SETTINGS)


def test_the_best_is_the_complete_one_of_the_lowest_loss_and_the_first_of_equals() -> None:
    trials = [trial(1, 0.5), trial(2, 0.3, "pruned"), trial(3, 0.4), trial(4, 0.4)]
    assert not_none(best_of(trials)).number == 3
    assert best_of([trial(1, 0.5, "pruned")]) is None
    assert best_of([]) is None


def test_the_table_has_the_best_first_and_none_that_was_pruned() -> None:
    lines = printed(tuned(trial(1, 0.5), trial(2, 0.3, "pruned"), trial(3, 0.4))).splitlines()
    assert lines[0].split()[:3] == ["trial", "valid", "logloss"]
    assert lines[0].split()[-2:] == ["fit.learning_rate", "embedding"]
    assert [line.split()[0] for line in lines[1:]] == ["3", "1"]


def test_the_table_is_short() -> None:
    lines = printed(tuned(*(trial(i, 0.5 - i / 100) for i in range(1, 31)))).splitlines()
    assert len(lines) == 11
    assert lines[1].split()[0] == "30"


def test_without_a_complete_trial_the_table_says_so() -> None:
    assert printed(tuned(trial(1, 0.5, "pruned"))) == "no trial was completed"
    assert printed(tuned()) == "no trial was completed"


def test_a_trial_is_told_in_one_line_with_its_parameters() -> None:
    assert format_trial(trial(7, 0.4567891, auc=None)) == (
        "trial 7  loss 0.45679  auc –  1.5 s  complete  fit.learning_rate 0.01, embedding 8"
    )


def test_the_page_says_what_was_gained_over_the_configuration() -> None:
    text = page(trial(1, 0.5), trial(2, 0.45))
    assert "Best: trial 2, valid logloss 0.45000." in text
    assert "The configuration that the search began with has 0.50000: 0.05000 were gained." in text


def test_the_page_admits_that_nothing_was_gained() -> None:
    assert "no draw beat it" in page(trial(1, 0.4), trial(2, 0.45))


def test_the_page_warns_of_the_rows_that_chose() -> None:
    assert "judge it on rows that no trial has seen" in page(trial(1, 0.4))


def test_a_search_without_a_complete_trial_has_a_page() -> None:
    text = page(trial(1, 0.5, "pruned"))
    assert "No trial was completed yet." in text
    assert "0 complete, 1 pruned" in text
    assert "<svg" not in text


def test_every_parameter_has_a_chart() -> None:
    trials = [trial(i, 0.5 - i / 100, embedding=8 * i) for i in range(1, 5)]
    captions = re.findall(r"<figcaption>([^<]+)", page(*trials))
    assert [one.strip() for one in captions] == [
        "Loss by trial",
        "The five best, epoch by epoch",
        "fit.learning_rate",
        "embedding",
    ]


def test_a_parameter_of_orders_of_magnitude_is_drawn_by_its_logarithm() -> None:
    wide = [trial(i, 0.5, **{"fit.learning_rate": 10.0**-i}) for i in range(1, 5)]
    assert "log10 of fit.learning_rate" in page(*wide)
    narrow = [trial(i, 0.5, **{"fit.learning_rate": 0.01 + i / 1000}) for i in range(1, 5)]
    assert "log10 of fit.learning_rate" not in page(*narrow)


def test_a_parameter_of_names_says_which_place_is_which() -> None:
    trials = [trial(1, 0.5, start="fm"), trial(2, 0.4, start="fwfm")]
    assert "1: fm, 2: fwfm" in page(*trials)


def test_one_hopeless_trial_does_not_flatten_the_others() -> None:
    trials = [trial(i, 0.5 + i / 1000) for i in range(1, 30)] + [trial(30, 900.0)]
    drawing = page(*trials).split("Loss by trial")[1].split("</svg>")[0]
    ticks = [float(text) for text in re.findall(r">(\d+\.\d+)</text>", drawing)]
    assert ticks
    assert max(ticks) < 1


@pytest.mark.parametrize("value", ["<b>", 'a"b'])
def test_names_are_text(value: str) -> None:
    text = page(trial(1, 0.5, start=value), trial(2, 0.4, start="fm"))
    assert value not in text.replace('="', "")
