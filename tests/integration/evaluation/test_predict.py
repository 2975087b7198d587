"""`afm-train predict` into places that cannot be written; what it writes is test_fit's."""

import polars as pl
import pytest

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
    tiny_bundle, tmp_path, capsys, out, says
):
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
