"""A search that afm-train tune refuses in one line, and what it leaves as it was."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tuning import trials, tune


def refused(capsys: pytest.CaptureFixture[str], code: Any, *says: Any) -> None:
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    for part in says:
        assert part in printed.err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), ["--trials or --minutes"]),
        (("--trials", 0), ["--trials 0", "above 0"]),
        (("--trials", -1), ["--trials -1"]),
        (("--minutes", 0), ["--minutes 0"]),
        (("--minutes", "nan"), ["--minutes nan"]),
    ],
)
def test_a_search_without_a_budget_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], more: Any, says: list[str]
) -> None:
    refused(capsys, tune(home, *more), *says)
    assert not (home / "tuned").exists()


def test_another_search_in_the_same_place_is_refused_by_what_differs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(home, "--trials", 1) == 0
    capsys.readouterr()
    refused(capsys, tune(home, "--trials", 1, "--seed", 2), "seed 1, not 2", "trials.sqlite")
    refused(capsys, tune(home, "--trials", 1, "--net", "lr"), "net fm, not lr")
    assert len(trials(home)) == 1


def test_a_log_of_other_rows_is_refused_though_it_has_as_many_of_each_class(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(home, "--trials", 1) == 0
    frame = pl.read_csv(home / "log.csv")
    frame.with_columns(pl.col("ad").reverse()).write_csv(home / "log.csv")
    capsys.readouterr()
    refused(capsys, tune(home, "--trials", 2), "trials.sqlite", "was begun with rows ")
    assert len(trials(home)) == 1


def test_a_place_in_use_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fcntl

    (home / "tuned").mkdir()
    with (home / "tuned" / ".trials.sqlite.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(capsys, tune(home, "--trials", 1), "another search is at work")


def test_a_file_that_is_none_of_trials_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "tuned").mkdir()
    (home / "tuned" / "trials.sqlite").write_text("no database " * 100)
    refused(capsys, tune(home, "--trials", 1), "trials.sqlite: not a file of trials")


def test_a_log_that_cannot_be_fitted_is_refused_and_leaves_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_class = pl.read_csv(home / "log.csv").with_columns(click=pl.lit(1))
    one_class.write_csv(home / "log.csv")
    refused(capsys, tune(home, "--trials", 1), "both classes")
    assert not (home / "tuned").exists()
