"""`afm-train predict` into places that cannot be written; what it writes is test_fit's."""

import json
from pathlib import Path

import polars as pl
import pytest

from model.bundle.bundle import Bundle
from tiny import tiny_rows
from training.cli import main


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("none/scores.csv", "No such file or directory"),
        ("none/scores.parquet", "No such file or directory"),
        ("file/scores.csv", "Not a directory"),
        ("folder.csv", "Is a directory"),
    ],
)
def test_a_place_that_cannot_be_written_costs_one_line_that_says_why(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, says: str
) -> None:
    rows = [row | {"interests": None} for row in tiny_rows(20)]
    pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "log.csv")
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    before = sorted(tmp_path.rglob("*"))
    words = [tiny_bundle.directory, tmp_path / "log.csv", "--out", tmp_path / out]
    assert main(["predict", *map(str, words)]) == 2
    expected = f"afm-train: {tmp_path / out}: cannot be written: {says}\n"
    assert capsys.readouterr().err == expected
    assert sorted(tmp_path.rglob("*")) == before


def test_kept_columns_stand_before_the_scores_whatever_the_logs_form(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    rows = [row | {"id": f"r{n}", "n": n} for n, row in enumerate(tiny_rows(20))]
    lists = [row["interests"] for row in rows]
    as_text = [None if cell is None else "|".join(cell) for cell in lists]
    frame = pl.DataFrame([row | {"interests": None} for row in rows], infer_schema_length=None)
    frame.with_columns(interests=pl.Series(lists, dtype=pl.List(pl.String))).write_parquet(
        tmp_path / "log.parquet"
    )
    frame.with_columns(interests=pl.Series(as_text, dtype=pl.String)).write_csv(
        tmp_path / "log.tsv", separator="\t"
    )
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "log.jsonl").write_text(lines)
    keep = ["--keep", "id", "--keep", "interests"]
    scores = []
    for name in ("log.parquet", "log.tsv", "log.jsonl"):
        out = tmp_path / f"{name}.csv"
        words = [tiny_bundle.directory, tmp_path / name, "--out", out, *keep]
        assert main(["predict", *map(str, words)]) == 0
        written = pl.read_csv(out)
        assert written.columns == ["id", "interests", "probability"]
        assert written["id"].to_list() == [f"r{n}" for n in range(20)]
        scores.append(written["probability"].to_list())
    assert scores[0] == scores[1] == scores[2]


def test_several_files_are_scored_as_one_log(tiny_bundle: Bundle, tmp_path: Path) -> None:
    rows = [row | {"interests": None} for row in tiny_rows(30)]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame[:10].write_csv(tmp_path / "1.csv")
    frame[10:].write_csv(tmp_path / "2.csv")
    frame.write_csv(tmp_path / "all.csv.gz", compression="gzip")
    for name, given in (("one", ["all.csv.gz"]), ("two", ["1.csv", "2.csv"]), ("glob", ["?.csv"])):
        paths = [str(tmp_path / path) for path in given]
        out = str(tmp_path / f"{name}.parquet")
        assert main(["predict", str(tiny_bundle.directory), *paths, "--out", out]) == 0
    one, two, pattern = (
        pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("one", "two", "glob")
    )
    assert len(one) == 30
    assert one.equals(two)
    assert one.equals(pattern)


def test_a_column_that_is_not_there_or_has_the_scores_name_is_not_kept(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row | {"interests": None} for row in tiny_rows(5)]
    pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "log.csv")
    for column, says in (("id", "no column 'id'"), ("probability", "cannot be kept")):
        words = [tiny_bundle.directory, tmp_path / "log.csv", "--out", tmp_path / "out.csv"]
        assert main(["predict", *map(str, words), "--keep", column]) == 2
        assert says in capsys.readouterr().err
