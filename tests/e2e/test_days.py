"""Three days of retrains on a log that grows and drifts; the second day's labels are spoilt."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from logs.worlds import simulate_days

from compose_stack import UP_SECONDS, Stack, say
from training.data.schema_text import schema_text
from training.simulate.simulation import CLICK, simulate
from until import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(UP_SECONDS + 300)]
ROWS = 12_000  # of a day
ASKED = 40  # requests of each day, by which live traffic judges the next version


@pytest.fixture(scope="module")
def days() -> list[pl.DataFrame]:
    """The log of the day before, and those of three days."""
    return simulate_days(ROWS, 4, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("days")
    made.chmod(0o755)
    (made / "schema.toml").write_text(schema_text(simulate(100, 1).schema))
    return made


@pytest.fixture(scope="module")
def stack(
    new_stack: Callable[..., Stack], days: list[pl.DataFrame], folder: Path
) -> Iterator[Stack]:
    days[0].write_parquet(folder / "day-0.parquet")
    project = new_stack(AFM_SCHEMA=str(folder / "schema.toml"))
    project.up(AFM_DATA=str(folder / "day-0.parquet"))
    project.until_ready()
    yield project
    project.down()


def test_two_good_days_go_live_and_the_spoilt_one_between_them_blocks_nothing(
    stack: Stack, days: list[pl.DataFrame], folder: Path
) -> None:
    live, went = [stack.get("/model")["version"]], []
    for number, day in enumerate(days[1:], start=1):
        ask_as_on(stack, day)
        log = pl.concat(days[: number + 1])
        if number == 2:
            log = log.with_columns(pl.col(CLICK).shuffle(seed=1))
        path = folder / f"day-{number}.parquet"
        log.write_parquet(path)
        retrained = stack.make("retrain", AFM_DATA=str(path))
        went.append(retrained.returncode == 0)
        say(retrained.stdout[-1500:] + retrained.stderr[-1500:])
        if went[-1]:
            another_than(stack, live[-1])
        live.append(stack.get("/readyz")["version"])
    assert went == [True, False, True]
    assert live[2] == live[1]
    assert len(set(live)) == 3
    assert stack.get("/readyz")["refused"] is None
    assert "refused" in stack.make("ps").stdout


def another_than(stack: Stack, version: str) -> None:
    until(lambda: stack.get("/readyz")["version"] != version)


def ask_as_on(stack: Stack, day: pl.DataFrame) -> None:
    schema: dict[str, Any] = stack.get("/model")["schema"]["fields"]
    for row in day.head(ASKED).drop(CLICK).to_dicts():
        context = {n: v for n, v in row.items() if n in schema and schema[n]["role"] == "context"}
        ad = {n: v for n, v in row.items() if n in schema and schema[n]["role"] == "candidate"}
        stack.post("/predict", {"context": context, "candidates": [ad]})
