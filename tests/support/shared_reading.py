"""One of the processes of a group that share the reading of logs, each with a cache of its own, for
tests: `python shared_reading.py NUMBER MEMBERS CACHE`, with a case a line on stdin, and an answer a
line on stdout.
"""

import hashlib
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from model.errors import DataError
from model.schema import Schema
from training import group
from training.data.files import Data
from training.stream import blocks, counts
from training.stream.asked import Asked
from training.stream.cache import pieces
from training.stream.encode_log import encoded_log


@dataclass(frozen=True)
class Case:
    """A log to encode. `first`: where number 0 listens. `logs`: by the number of the process, or
    one for all. `forgets`: who has no cache; `ends`: who ends itself in its second block.
    """

    first: str
    logs: list[str]
    schema: str
    share: float | None = 0.1
    rate: float = 1.0
    forgets: int = -1
    ends: int = -1


@dataclass(frozen=True)
class Answer:
    """A digest of all files in the cache, or an error; and how many blocks were read for it."""

    digest: str = ""
    error: str = ""
    blocks: int = 0


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Blocks and files so small that a short log has many of them."""
    patch.setattr(blocks, "TEXT_BYTES", 15_000)
    patch.setattr(blocks, "ROWS", 120)
    patch.setattr(pieces, "ROWS", 70)
    patch.setattr(counts, "PENDING", 150)
    patch.setattr("training.stream.first_pass.MOST_HELD", 800)


def encoded(case: Case, number: int) -> Answer:
    """The log of this process, encoded."""
    read = [0]
    table = blocks.Block.table

    def counted(block: blocks.Block) -> object:
        read[0] += 1
        if case.ends == number and read[0] == 2:
            os._exit(9)
        return table(block)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks.Block, "table", counted)
        data = Data((Path(case.logs[number % len(case.logs)]),))
        schema = Schema.parse(case.schema)
        try:
            asked = Asked(case.share, case.rate, seed=3)
            folder = encoded_log(data, schema, asked, 2, lambda _: None).folder
        except (DataError, group.MemberLostError) as error:
            return Answer(error=f"{type(error).__name__}: {error}", blocks=read[0])
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(str(path.relative_to(folder)).encode())
        found.update(path.read_bytes() if path.is_file() else b"")
    return Answer(found.hexdigest(), blocks=read[0])


def main() -> None:
    """See the module."""
    number, members, cache = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.environ["XDG_CACHE_HOME"] = str(cache)
    make_small(pytest.MonkeyPatch())
    for line in sys.stdin:
        case = Case(**json.loads(line))
        if case.forgets == number:
            shutil.rmtree(cache)
        with group.joined(case.first, number, members, timedelta(seconds=60)):
            answer = encoded(case, number)
        sys.stdout.write(json.dumps(asdict(answer)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
