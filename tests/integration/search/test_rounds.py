"""The rounds of `afm-train tune`: a search is the same one in whatever order its trials end."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model.schema import Schema
from tiny import TINY_SCHEMA, tiny_rows
from training.config import Config
from training.data.files import Data
from training.data.read_log import read_log
from training.jobs import Doing, here
from training.search.trials import Ended
from training.search.tune import material_for, tune

CONFIG = """
net = "fm"
embedding = 4
[fit]
epochs = 12
patience = 12
batch = 128
learning_rate = 0.02
"""
TRIALS = 15


def backwards(
    work: Callable[[Any, Any], Any], shared: Any, jobs: Iterable[Any]
) -> Iterator[tuple[int, Any]]:
    numbered = list(enumerate(jobs))
    for number, job in reversed(numbered):
        yield number, work(shared, job)


def some_lost(
    work: Callable[[Any, Any], Any], shared: Any, jobs: Iterable[Any]
) -> Iterator[tuple[int, Any]]:
    """As where the command is killed after two trials of a round, the last ones."""
    yield from list(backwards(work, shared, jobs))[:2]
    raise KeyboardInterrupt


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., list[Ended]]:
    rows = [row | {"interests": None} for row in tiny_rows(900)]
    pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "log.csv")
    (tmp_path / "config.toml").write_text(CONFIG)
    schema = Schema.parse(TINY_SCHEMA)
    log = read_log(Data((tmp_path / "log.csv",)), schema)
    config = Config.load(tmp_path / "config.toml")

    def found(out: str, trials: int = TRIALS, size: int = 5, doing: Doing = here) -> list[Ended]:
        place, said = tmp_path / out, print
        how = 3, trials, None, said, said, size, doing
        return tune(material_for(log, None, schema, config, 3), config, place, *how).trials

    return found


def plain(trials: list[Ended]) -> list[dict[str, Any]]:
    """Trials without the seconds that they took."""
    return [{k: v for k, v in vars(trial).items() if k != "seconds"} for trial in trials]


def test_a_search_is_the_same_in_whatever_order_the_trials_of_a_round_end(
    search: Callable[..., list[Ended]],
) -> None:
    one_by_one = search("one")
    assert [trial.number for trial in one_by_one] == [*range(1, TRIALS + 1)]
    assert any(trial.state == "pruned" for trial in one_by_one)
    assert plain(search("other", doing=backwards)) == plain(one_by_one)


def test_a_round_of_which_some_trials_are_lost_goes_on_with_the_others(
    search: Callable[..., list[Ended]], tmp_path: Path
) -> None:
    assert [trial.number for trial in search("lost", 10, doing=some_lost)] == [4, 5]
    assert "Best: trial" in (tmp_path / "lost" / "report.html").read_text()
    assert plain(search("lost", 10)) == plain(search("whole", 10))


def test_rounds_of_other_sizes_are_other_searches(search: Callable[..., list[Ended]]) -> None:
    assert plain(search("fives")) != plain(search("ones", size=1))


def test_a_search_of_an_earlier_version_goes_on_in_rounds_of_one(
    search: Callable[..., list[Ended]], tmp_path: Path
) -> None:
    search("old", 3, size=1)
    with sqlite3.connect(tmp_path / "old" / "trials.sqlite") as file:  # as that version left it
        file.execute("delete from trial_user_attributes where key = 'number'")
        ((settings,),) = file.execute(
            "select value_json from study_user_attributes where key = 'settings'"
        )
        kept = {key: value for key, value in json.loads(settings).items() if key != "round"}
        file.execute(
            "update study_user_attributes set value_json = ? where key = 'settings'",
            [json.dumps(kept)],
        )
    with pytest.raises(Exception, match="was begun with round 1, not 5"):
        search("old", 6)
    assert plain(search("old", 6, size=1)) == plain(search("new", 6, size=1))
