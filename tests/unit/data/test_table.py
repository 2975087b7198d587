"""Tables as they stand in files, and what unreadable ones get."""

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model.errors import ConfigError, DataError
from training.data.files import Data, data_of
from training.data.read_log import label_array
from training.data.table import read_frame, read_table
from training.stream.blocks import blocks_of


def test_every_csv_cell_is_text_so_that_big_ids_keep_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("url,code,n\n10710025208886284288,007,1.50\n")
    frame = read_frame(path)
    assert frame.rows() == [("10710025208886284288", "007", "1.50")]


def test_a_gzipped_csv_reads_as_the_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,x\n"))
    assert read_frame(path).rows() == [("1", "x")]


def test_a_blank_cell_is_null_and_quotes_may_hold_commas_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('a,b\n,"x, y"\n1,"two\nlines"\n')
    assert read_frame(path).rows() == [(None, "x, y"), ("1", "two\nlines")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert read_frame(path).columns == ["a", "b"]


def test_only_the_columns_asked_for_are_read_each_once(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("a,b,c\n1,2,3\n")
    assert read_frame(path, ["c", "a", "c"]).columns == ["c", "a"]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame({"a": [1], "b": [["x", "y"]], "c": [True]}).write_parquet(path)
    assert read_frame(path).rows() == [(1, ["x", "y"], True)]


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"log\.csv: no column 'click'; there are 'a', 'b'"):
        read_frame(path, ["a", "click"])


# mtime: a file's bytes are in its test's name, and all processes that share the tests must agree on
# those, whichever second they begin in
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv", b"", "empty file"),
        ("log.csv.gz", gzip.compress(b"", mtime=0), "empty file"),
        ("log.csv", b"a,b\n", "no rows, only a header"),
        ("log.parquet", b"", "empty file"),
        ("log.parquet", b"not parquet at all", "cannot read it"),
        ("log.csv.gz", gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:-20], "cannot read it"),
        ("log.csv", b"a,b\n1,2\n1,2,3\n", "row 2: 3 cells, the header has 2"),
        ("log.csv", b"a,b\n1,2\n\n1\n", "row 2: 1 cell, the header has 2"),
        ("log.csv", b"a,b,a\n1,2,3\n", "column 'a' stands 2 times in the header"),
        ("log.csv", b'a,b\n1,2\n1,"say \\"hi\\""\n', "line 3: a quote after a backslash"),
        ("log.csv", b'a,b\n1,"x"y\n0,z\n', "cannot be read as CSV: a quote within a cell"),
        ("log.tsv", b'a\tb\n1\tx\n1\t5" y\n0\tz\n', "line 3: .*: --separator unquoted-tab"),
        ("log.csv", b'a;b\n1;"x";y\n0;z"w\n', "cannot be read as CSV; .* --separator ';'"),
        ("log.csv", b'a;b\n1;"x, y"\n', "row 1: 2 cells, the header has 1; .* --separator ';'"),
        ("log.csv", "a,b\n1,2\n".encode("utf-16"), "looks like UTF-16: write it as UTF-8"),
        ("log.csv", "a,b\n1,2\n".encode("utf-16-le"), "looks like UTF-16"),
        ("log.jsonl", b'{"a": 1}\n\n[1]\n', "row 2: not a JSON object"),
        ("log.jsonl", b'{"a": 1}\n{"a": NaN}\n', "row 2: not JSON: NaN is no value"),
        ("log.jsonl", b'{"a": 1}\n{"a": 1e999}\n', "column 'a', row 2: .* finite"),
        (
            "log.jsonl",
            b'{"a": [1, {"b": 1}]}\n',
            "column 'a.b', row 1: expected an obj",
        ),
        ("log.jsonl", b'{"a": [[1]]}\n', "column 'a', row 1: .* list of lists"),
        ("log.jsonl", b'{"a": "\\ud800"}\n', "column 'a', row 1: half of a surrogate pair"),
        ("log.csv", b"a,b\n1,2\n1,caf\xe9\n", "line 3: not UTF-8: write the file as UTF-8"),
        ("log.xlsx", b"a,b\n1,2\n", r"unknown kind of file, expected \.csv"),
    ],
)
def test_an_unusable_file_gets_one_line_that_names_it(
    tmp_path: Path, name: str, content: Any, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_frame(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_objects_in_parquet_are_columns_by_their_paths_as_those_of_json_lines(
    tmp_path: Path,
) -> None:
    rows = [
        {
            "click": 1,
            "device": {"type": 4, "geo": {"country": "AUT"}},
            "user": {"data": [{"id": "a"}]},
        },
        {"click": 0, "device": None, "user": {"data": []}},
        {
            "click": 0,
            "device": {"type": None, "geo": None},
            "user": {"data": [{"id": "a"}, {"id": "b"}]},
        },
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet")
    found = read_frame(tmp_path / "log.parquet")
    assert found["device.type"].to_list() == [4, None, None]
    assert found["device.geo.country"].to_list() == ["AUT", None, None]
    assert found["user.data.id"].to_list() == ['["a"]', "[]", '["a", "b"]']
    assert found.columns == ["click", "device.type", "device.geo.country", "user.data.id"]
    wanted = ["user.data.id", "click"]
    assert read_frame(tmp_path / "log.parquet", wanted).columns == wanted
    bids = [{"click": 1, "bid_request": {"at": 1, "imp": [{"tagid": "top"}]}}] * 2
    pl.DataFrame(bids).write_parquet(tmp_path / "bids.parquet")
    read = read_frame(tmp_path / "bids.parquet", ["tagid", "at"])
    assert read.rows() == [("top", "1")] * 2


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_frame(tmp_path / "log.csv")
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(DataError, match="not a file"):
        read_frame(tmp_path / "dir.csv")


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("click;a", "looks separated by semicolons: --separator ';'"),
        ("click\ta", r"looks separated by tabs: --separator '\\t'"),
        ("click|a", r"looks separated by bars: --separator '\|'"),
        ("0,ios", "its first row looks like values: a header"),
    ],
)
def test_error_of_a_column_not_found_says_what_the_file_looks_like(
    tmp_path: Path, header: str, hint: str
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"{header}\n{header}\n")
    with pytest.raises(DataError, match=f"no column 'click'; .*; .*{hint}"):
        read_frame(path, ["click"])


def test_in_unquoted_text_a_quote_is_a_character_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    cells = ['5" tab', '"x', 'y"', '"', 'a "b" c', '\\"', '"whole"']
    path.write_text("\n".join(["a\tb", *(f"{cell}\t{n}" for n, cell in enumerate(cells))]))
    data = data_of([path], "unquoted-tab")
    assert data is not None
    assert read_table(data).frame["a"].to_list() == cells
    blocks = [block.table()[0].frame for block in blocks_of(data, ["a", "b"])]
    assert pl.concat(blocks)["a"].to_list() == cells


def test_cells_may_have_another_separator(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text('a;b\n1;"x;y"\n')
    (tmp_path / "log.tsv").write_text('a\tb\n1\t"x\ty"\n')
    assert read_frame(Data((tmp_path / "log.csv",), ";")).rows() == [("1", "x;y")]
    assert read_frame(tmp_path / "log.tsv").rows() == [("1", "x\ty")]
    assert data_of([tmp_path], "\\t") == Data((tmp_path,), "\t")
    for separator in ("", "ab", "é", '"', "\n"):
        with pytest.raises(ConfigError, match=r"--separator .*: one character"):
            data_of([tmp_path], separator)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\n1,2\n\n3,\n\n", [("1", "2"), ("3", None)]),
        (b"a,b\r\n1,2\r\n\r\n3,4\r\n", [("1", "2"), ("3", "4")]),
        (b"a,b\n,\n  \n3,4", [(None, None), ("3", "4")]),
        (b"\na\n1\n\n2\n", [("1",), ("2",)]),
        (b'a,b\n1,"x\n\ny"\n\n2,\n', [("1", "x\n\ny"), ("2", None)]),
    ],
)
def test_blank_lines_are_no_rows(tmp_path: Path, content: bytes, rows: Any) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    assert read_frame(path).rows() == rows


@pytest.mark.parametrize("start", [b"sep=;\n", b"sep=;\r\n", b"\xef\xbb\xbfsep=;\r\n"])
def test_a_first_line_for_excel_is_no_header_but_names_the_separator(
    tmp_path: Path, start: bytes
) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(start + b"a;b\n1;x,y\n")
    assert read_frame(path).to_dict(as_series=False) == {"a": ["1"], "b": ["x,y"]}
    path.write_bytes(start + b"a;b\n1;2\n1;caf\xe9\n")
    with pytest.raises(DataError, match="line 4: not UTF-8"):
        read_frame(path)


@pytest.mark.parametrize("content", [b",a\n0,x\n1,y\n", b"a,\nx,\ny,\n"])
def test_a_column_without_a_name_is_left_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    assert read_frame(path).to_dict(as_series=False) == {"a": ["x", "y"]}


def test_an_index_of_pandas_is_left_out_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame({"a": ["x"], "__index_level_0__": [0], "": [1]}).write_parquet(path)
    assert read_frame(path).columns == ["a"]


def test_a_backslash_at_the_end_of_a_cell_escapes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b'a,b\n1,"C:\\"\n2,"C:\\""x"\n')
    assert read_frame(path)["b"].to_list() == ["C:\\", 'C:\\"x']


def test_json_lines_hold_the_values_of_requests_as_text(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    lines = (
        b'\xef\xbb\xbf{"a": 21, "b": "x", "n": 100000000000000001}\r\n\n'
        b'{"b": ["\xc3\xa9", 0.5, null], "a": true, "c": null}\n'
    )
    path.write_bytes(gzip.compress(lines))
    assert read_frame(path).rows(named=True) == [
        {"a": "21", "b": "x", "n": "100000000000000001", "c": None},
        {"a": "true", "b": '["\\u00e9", 0.5, null]', "n": None, "c": None},
    ]


def test_a_log_may_be_several_files_a_folder_or_a_pattern(tmp_path: Path) -> None:
    for day, n in (("2026-11-27", 1), ("2026-11-28", 2.5)):
        folder = tmp_path / "logs" / f"day={day}" / "site=a%2Fb"
        folder.mkdir(parents=True)
        pl.DataFrame({"n": [n]}).write_parquet(folder / "part.parquet")
    (tmp_path / "logs" / "_SUCCESS").write_text("")
    (tmp_path / "logs" / ".hidden.csv").write_text("x\n1\n")
    for given in ("logs", "logs/*/*/*.parquet", "logs/**/*.parquet"):
        assert read_frame(tmp_path / given, ["n", "day", "site"]).rows() == [
            ("1", "2026-11-27", "a/b"),  # whole numbers in one file and floats in the other
            ("2.5", "2026-11-28", "a/b"),
        ]
    files = sorted((tmp_path / "logs").rglob("*.parquet"))
    several = read_table(Data(tuple(files)))
    assert several.frame.columns == ["n"]
    assert several.at(1) == (files[1], 0)


def test_columns_of_several_types_are_text(tmp_path: Path) -> None:
    one = pl.DataFrame({"a": [2**60 + 1], "b": [["x"]], "c": [True]})
    other = pl.DataFrame({"c": ["TRUE"], "b": ["y|z"], "a": [0.5]})
    for name, frame in (("1", one), ("2", other)):
        frame.write_parquet(tmp_path / f"{name}.parquet")
    frame = read_frame(tmp_path)
    assert frame.rows() == [(str(2**60 + 1), '["x"]', "true"), ("0.5", "y|z", "TRUE")]


def test_a_bad_cell_is_named_by_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("click,a\n1,x\n0,y\n")
    (tmp_path / "2.csv").write_text("click,a\n\n2,x\n")
    table = read_table(tmp_path)
    with pytest.raises(DataError, match=r"2\.csv: column 'click', row 1: a label must be 0 or 1"):
        label_array(table.frame["click"], "click", table)
    (tmp_path / "2.csv").write_text("click,b\n1,x\n")
    with pytest.raises(DataError, match=r"2\.csv: column 'a' is not in all files"):
        read_frame(tmp_path)
    with pytest.raises(DataError, match=r"2\.csv: no column 'a'; there are 'click', 'b'"):
        read_frame(tmp_path, ["a"])


def test_text_may_be_packed_by_zstd(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.zst"
    pl.DataFrame({"a": ["x\ny", "é"]}).write_csv(path, compression="zstd")
    assert read_frame(path)["a"].to_list() == ["x\ny", "é"]
