"""`predict --ray` and `evaluate --ray`: what one process writes, whoever is lost on the way."""

import json
import subprocess

import polars as pl
import pytest

from ray_nodes import Home, Nodes, kill_one, until

COPIES = 300  # of 2,000 rows: shards of 131,072


@pytest.fixture(scope="module")
def log(home: Home) -> str:
    """A log of five shards in two files of Parquet, and what one process writes of it."""
    rows = pl.read_csv(home.path / "log.csv", infer_schema=False)
    rows = rows.with_columns(click=pl.col("click").cast(pl.Int64))
    long = pl.concat([rows] * COPIES).with_row_index("n")
    folder = home.path / "long"
    folder.mkdir()
    long[:200_000].write_parquet(folder / "1.parquet")
    long[200_000:].write_parquet(folder / "2.parquet")
    ended = home.ask(
        *("predict", home.path / "alone", folder, "--keep", "n"),
        *("--out", home.path / "alone.parquet"),
    )
    assert ended.returncode == 0, ended.stderr
    return str(folder)


@pytest.mark.parametrize("lost", ["nothing", "task", "node", "asker"])
def test_each_row_is_written_once_with_the_score_of_one_process(
    nodes: Nodes, home: Home, log: str, lost: str
) -> None:
    out = home.path / f"{lost}.parquet"
    words = home.words(
        *("predict", home.path / "alone", log, "--keep", "n", "--out", out),
        *("--ray", nodes.address, "--workers", "2"),
    )
    asked = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    parts = home.path / f".{out.name}.parts"
    until(lambda: len([*parts.glob("part-*.parquet")]) >= 1 or asked.poll() is not None, str)
    assert asked.poll() is None
    if lost == "task":
        kill_one("ray::_done")
    elif lost == "node":
        nodes.lose_the_second()
        nodes.add_a_second()
    elif lost == "asker":
        asked.kill()
        asked.communicate()
        assert not out.exists()
        asked = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said, error = asked.communicate()
    assert asked.returncode == 0, error
    assert said == f"{out}: {2000 * COPIES} rows scored\n"
    assert pl.read_parquet(out).equals(pl.read_parquet(home.path / "alone.parquet"))
    assert not parts.exists()


def test_the_figures_are_those_of_one_process(nodes: Nodes, home: Home, log: str) -> None:
    given = ("evaluate", home.path / "alone", log, "--by", "device", "--bootstrap", "5")
    alone = home.ask(*given)
    found = home.ask(*given, "--ray", nodes.address)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == json.loads(alone.stdout)
    assert found.stderr == alone.stderr


def test_what_is_wrong_with_a_log_is_one_line(nodes: Nodes, home: Home) -> None:
    (home.path / "bad.csv").write_text("device,hour,interests,ad,price\nios,1,cars,a1,much\n")
    ended = home.ask(
        *("predict", home.path / "alone", home.path / "bad.csv"),
        *("--out", home.path / "bad.parquet", "--ray", nodes.address),
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "column 'price', row 1: expected a finite number, got 'much'" in ended.stderr
    assert not [*home.path.glob(".bad*")]
