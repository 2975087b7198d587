"""Processes that share the reading of a log, each with a cache of its own, leave the files there
that one process leaves.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import shared_reading
from fit_calls import write_csv
from own_redis import free_port
from ranked_log import RANKING, ranked_rows
from shared_reading import Answer, Case, encoded, make_small
from training.data.files import Data, data_files
from written_log import SCHEMA, rows, written

MEMBERS = 3


class Members:
    """Processes that wait for cases."""

    def __init__(self, home: Path) -> None:
        program = sys.executable, shared_reading.__file__
        self._processes = [
            subprocess.Popen(
                [*program, str(number), str(MEMBERS), str(home / f"cache-{number}")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(MEMBERS)
        ]

    def answers(self, case: Case) -> list[Answer | None]:
        """Those of all to the case; None of one that ended itself."""
        first = f"tcp://127.0.0.1:{free_port()}"
        line = json.dumps(asdict(replace(case, first=first))) + "\n"
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(line)
            process.stdin.flush()
        said = [process.stdout.readline() for process in self._processes if process.stdout]
        return [Answer(**json.loads(one)) if one else None for one in said]

    def end(self) -> None:
        """Have them end."""
        for process in self._processes:
            process.communicate(timeout=60)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    """Of this file."""
    all_of_them = Members(tmp_path_factory.mktemp("members"))
    yield all_of_them
    all_of_them.end()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes this process work as they do; a folder for logs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_small(monkeypatch)
    return tmp_path


def case(home: Path, kind: str, count: int = 1000) -> Case:
    """A log of a kind."""
    if kind == "ranking":
        write_csv(home / "log.csv", ranked_rows(count))
        return Case("", [str(home / "log.csv")], RANKING)
    written(home / "log", kind, rows(count))
    return Case("", [str(home / "log")], SCHEMA)


@pytest.mark.parametrize("kind", ["csv", "parquet", "ranking"])
def test_they_leave_the_files_that_one_process_leaves(
    alone: Path, members: Members, kind: str
) -> None:
    given = case(alone, kind)
    one = encoded(given, 0)
    answers = members.answers(given)
    assert [answer and answer.digest for answer in answers] == [one.digest] * MEMBERS
    read = [answer.blocks for answer in answers if answer]
    assert sum(read) == one.blocks
    assert max(read) - min(read) <= 2  # a block more of each of two passes


@pytest.mark.parametrize(
    ("count", "share", "rate"), [(12, 0.1, 1.0), (600, None, 1.0), (600, 0.1, 0.5)]
)
def test_whatever_is_held_out_and_drawn(
    alone: Path, members: Members, count: int, share: float | None, rate: float
) -> None:
    given = case(alone, "csv", count)
    schema = given.schema if rate == 1 else given.schema.replace('weight = "worth"', "")
    given = replace(given, share=share, rate=rate, schema=schema)
    one = encoded(given, 0)
    assert one.digest
    assert {answer and answer.digest for answer in members.answers(given)} == {one.digest}


def test_who_has_the_log_helps_those_who_have_not(alone: Path, members: Members) -> None:
    given = case(alone, "csv", 500)
    first = members.answers(given)
    again = members.answers(replace(given, forgets=1))
    assert again == first
    assert [answer and answer.blocks for answer in members.answers(given)] == [0] * MEMBERS


def test_a_bad_row_is_refused_in_the_same_words(alone: Path, members: Members) -> None:
    given = case(alone, "jsonl")
    (log,) = data_files(Data((Path(given.logs[0]),)))
    text = log.path.read_text().splitlines()
    text[700] = text[700].replace("2026-11-", "2026-13-")
    log.path.write_text("\n".join(text))
    one = encoded(given, 0)
    assert "expected a moment" in one.error
    assert {answer and answer.error for answer in members.answers(given)} == {one.error}


def test_another_log_on_one_of_the_machines_is_refused(alone: Path, members: Members) -> None:
    for name, count in (("here", 300), ("there", 301)):
        (alone / name).mkdir()
        written(alone / name / "log", "csv", rows(count))
    logs = [str(alone / name / "log") for name in ("here", "there", "here")]
    answers = members.answers(Case("", logs, SCHEMA))
    assert all(answer and "not the same on all machines" in answer.error for answer in answers)


def test_one_that_is_lost_is_told_of_by_the_others(
    alone: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    apart = Members(tmp_path_factory.mktemp("lost"))
    lost, *others = apart.answers(replace(case(alone, "csv"), ends=0))
    assert lost is None
    assert all(answer and answer.error.startswith("MemberLostError") for answer in others)
    apart.end()
