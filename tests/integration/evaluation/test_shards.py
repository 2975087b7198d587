"""A log that is scored in shards: the file, the figures and the warnings are those of the whole."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model.bundle.bundle import Bundle
from model.errors import AfmError, DataError
from tiny import tiny_rows
from training.cli import main
from training.data.files import Data
from training.evaluation.evaluate import evaluate, predict
from training.jobs import here
from training.shards import score
from training.shards.cut import shards
from training.shards.predict import predict_in_shards
from training.shards.score import scored_in_shards, shard_rows

KEEP = ["ad", "n", "interests"]


def backwards(
    work: Callable[[Any, Any], Any], shared: Any, jobs: Iterable[Any]
) -> Iterator[tuple[int, Any]]:
    """Jobs end in another order on a cluster."""
    yield from reversed(list(here(work, shared, jobs)))


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle whose shards are as small as they can be: one slice of its scorer."""
    monkeypatch.setattr(score, "ROWS", 1)
    made = make_bundle("afm")
    scorer = made.read_scorer()
    monkeypatch.setattr(type(scorer), "__init__", of_few_rows(type(scorer).__init__))
    assert shard_rows(made.read_scorer()) == 64
    return made


def of_few_rows(plain: Callable[..., None]) -> Callable[..., None]:
    def begin(scorer: Any, *given: Any) -> None:
        plain(scorer, *given)
        scorer.slice_rows = 64

    return begin


def frame(rows: int = 500) -> pl.DataFrame:
    drawn = [row | {"n": n} for n, row in enumerate(tiny_rows(rows, seed=5))]
    for row in drawn[: rows // 2]:
        row["device"] = "unheard of"
    for row in drawn:
        row["device"] = row["device"] if row["n"] % 5 else "unheard of"
    return pl.DataFrame(drawn, infer_schema_length=None)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of text so small that a shard has rows of several."""
    monkeypatch.setattr("training.stream.blocks.TEXT_BYTES", 700)


def as_text(of: pl.DataFrame) -> pl.DataFrame:
    return of.with_columns(pl.col("interests").list.join("|"))


def write_logs(folder: Path) -> dict[str, Data]:
    """One log of several kinds of files, and one of files whose types differ."""
    whole = frame()
    whole.write_parquet(folder / "log.parquet")
    as_text(whole).write_csv(folder / "log.csv")
    excel = as_text(whole).write_csv(separator=";", line_terminator="\r\n")
    (folder / "excel.csv").write_bytes(b"sep=;\r\n" + excel.encode())
    (folder / "log.jsonl").write_text(whole.write_ndjson())
    whole.select(
        pl.struct("device", "hour").alias("o"), pl.exclude("device", "hour")
    ).write_parquet(folder / "nested.parquet")
    whole[:90].write_parquet(folder / "1.parquet")
    as_text(whole[90:300]).write_csv(folder / "2.csv")
    whole[300:303].write_parquet(folder / "3.parquet")
    whole[303:].with_columns(pl.col("n", "hour").cast(pl.Float64)).write_parquet(
        folder / "4.parquet"
    )
    whole[:0].write_parquet(folder / "5.parquet")
    pieces = tuple(folder / f"{n}.{'csv' if n == 2 else 'parquet'}" for n in range(1, 6))
    return {
        "parquet": Data((folder / "log.parquet",)),
        "csv": Data((folder / "log.csv",)),
        "excel": Data((folder / "excel.csv",)),
        "jsonl": Data((folder / "log.jsonl",)),
        "mixed": Data(pieces),
    }


@pytest.mark.parametrize("kind", ["parquet", "csv", "excel", "jsonl", "mixed"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_file_is_that_of_the_whole_log(
    bundle: Bundle, tmp_path: Path, kind: str, suffix: str
) -> None:
    log = write_logs(tmp_path)[kind]
    whole, joined = tmp_path / f"whole{suffix}", tmp_path / f"joined{suffix}"
    rows, warnings = predict(bundle.directory, log, whole, KEEP)
    assert rows == 500
    assert any("'device'" in line for line in warnings)
    found = predict_in_shards(bundle.directory, log, joined, KEEP, backwards)
    assert found == (rows, warnings)
    if suffix == ".csv":
        assert joined.read_bytes() == whole.read_bytes()
    else:
        assert pl.read_parquet(joined).equals(pl.read_parquet(whole))
        assert pl.read_parquet_schema(joined) == pl.read_parquet_schema(whole)
    assert not list(tmp_path.glob(".*"))


def test_a_name_without_an_ending_is_a_folder_of_files(bundle: Bundle, tmp_path: Path) -> None:
    log = write_logs(tmp_path)["mixed"]
    predict(bundle.directory, log, tmp_path / "whole.parquet")
    predict_in_shards(bundle.directory, log, tmp_path / "scores", [], backwards)
    parts = sorted((tmp_path / "scores").iterdir())
    assert [part.name for part in parts] == [f"part-{n:06}.parquet" for n in range(8)]
    assert pl.read_parquet(parts).equals(pl.read_parquet(tmp_path / "whole.parquet"))
    with pytest.raises(DataError, match="exists already"):
        predict_in_shards(bundle.directory, log, tmp_path / "scores", [], backwards)


@pytest.mark.parametrize("kind", ["parquet", "csv", "mixed"])
@pytest.mark.parametrize("by", [None, "ad", "interests", "n"])
def test_the_figures_are_those_of_the_whole_log(
    bundle: Bundle, tmp_path: Path, kind: str, by: str | None
) -> None:
    log = write_logs(tmp_path)[kind]
    whole = evaluate(bundle.directory, log, by, 20, 0.5)
    found = evaluate(
        *(bundle.directory, log, by, 20, 0.5),
        scored=lambda: scored_in_shards(bundle.directory, log, backwards),
    )
    assert json.dumps(found) == json.dumps(whole)
    assert whole["warnings"]


def test_a_bad_cell_is_named_as_in_the_whole_log_and_leaves_nothing(
    bundle: Bundle, tmp_path: Path
) -> None:
    as_text(frame()).with_columns(pl.col("price").cast(pl.String)).with_columns(
        price=pl.when(pl.col("n") == 321).then(pl.lit("much")).otherwise("price")
    ).write_csv(tmp_path / "log.csv")
    frame()[:70].write_parquet(tmp_path / "first.parquet")
    log = Data((tmp_path / "first.parquet", tmp_path / "log.csv"))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError) as whole:
        predict(bundle.directory, log, tmp_path / "scores.csv")
    with pytest.raises(DataError) as found:
        predict_in_shards(bundle.directory, log, tmp_path / "scores.csv", [], here)
    assert str(found.value) == str(whole.value)
    assert "row 322" in str(found.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_killed_command_is_gone_on_with_from_its_parts(bundle: Bundle, tmp_path: Path) -> None:
    log = write_logs(tmp_path)["parquet"]
    out = tmp_path / "scores.csv"
    worked_on: list[int] = []

    def ends_after(most: int) -> Any:
        def doing(work: Any, shared: Any, jobs: Any) -> Any:
            for number, job in enumerate(jobs):
                if number == most:
                    raise KeyboardInterrupt
                if not shared.part(number).exists():
                    worked_on.append(number)
                yield number, work(shared, job)

        return doing

    with pytest.raises(KeyboardInterrupt):
        predict_in_shards(bundle.directory, log, out, [], ends_after(3))
    assert not out.exists()
    assert predict_in_shards(bundle.directory, log, out, [], ends_after(99))[0] == 500
    assert worked_on == [0, 1, 2, 3, 4, 5, 6, 7]
    predict(bundle.directory, log, tmp_path / "whole.csv")
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()

    with pytest.raises(KeyboardInterrupt):
        predict_in_shards(bundle.directory, log, out, [], ends_after(3))
    worked_on.clear()  # the parts of other columns are of no use
    predict_in_shards(bundle.directory, log, out, ["ad"], ends_after(99))
    assert worked_on == [0, 1, 2, 3, 4, 5, 6, 7]


def test_two_commands_do_not_write_one_file(bundle: Bundle, tmp_path: Path) -> None:
    log = write_logs(tmp_path)["parquet"]
    out = tmp_path / "scores.csv"

    def doing(work: Any, shared: Any, jobs: Any) -> Any:
        with pytest.raises(DataError, match="another command is writing it"):
            predict_in_shards(bundle.directory, log, out, [], here)
        yield from here(work, shared, jobs)

    assert predict_in_shards(bundle.directory, log, out, [], doing)[0] == 500


def test_a_bundle_that_is_another_one_elsewhere_is_refused(bundle: Bundle) -> None:
    rater = score.Rater(bundle.directory, "20260101000000-00000000")
    with pytest.raises(AfmError, match="another version on another machine"):
        rater.scored(Path("none.csv"))


def test_a_log_without_rows_and_a_column_that_is_absent_are_refused(tmp_path: Path) -> None:
    frame()[:0].write_parquet(tmp_path / "empty.parquet")
    with pytest.raises(DataError, match="no rows, only a header"):
        list(shards(Data((tmp_path / "empty.parquet",)), ["ad"], 10))
    frame().write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match="no column 'colour'"):
        [shard.table() for shard in shards(Data((tmp_path / "log.parquet",)), ["colour"], 10)]


def test_columns_of_folders_and_of_objects_are_read_of_shards_too(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    for day in ("2026-11-28", "2026-11-29"):
        (folder / f"day={day}").mkdir(parents=True)
        frame(70).select("ad", "n").write_parquet(folder / f"day={day}" / "1.parquet")
    found = [shard.table().frame for shard in shards(Data((folder,)), ["day"], 100)]
    days = pl.concat(found)["day"].to_list()
    assert days == ["2026-11-28"] * 70 + ["2026-11-29"] * 70
    frame(70).select(pl.struct("ad").alias("o"), "n").write_parquet(tmp_path / "n.parquet")
    found = [shard.table().frame for shard in shards(Data((tmp_path / "n.parquet",)), ["o.ad"], 50)]
    assert pl.concat(found)["o.ad"].to_list() == frame(70)["ad"].to_list()
    assert [len(one) for one in found] == [50, 20]


def test_the_commands_stream_to_the_same_scores_and_figures(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = list(map(str, write_logs(tmp_path)["mixed"].paths))
    whole, stream = tmp_path / "whole.parquet", tmp_path / "stream.parquet"
    words = ["predict", str(bundle.directory), *paths, "--keep", KEEP[0], "--out"]
    assert main([*words, str(whole)]) == 0
    assert main([*words, str(stream), "--stream"]) == 0
    assert pl.read_parquet(stream).equals(pl.read_parquet(whole))
    capsys.readouterr()
    figures = []
    for more in ([], ["--stream"]):
        assert main(["evaluate", str(bundle.directory), *paths, "--bootstrap", "5", *more]) == 0
        figures.append(capsys.readouterr().out)
    assert figures[0] == figures[1]
