"""Processes that share a fit of a log on disk end with the weights of one that is alone."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from model.schema import Schema
from own_redis import free_port
from streamed_calls import SMALL, weights
from training.config import NetName
from training.data.files import Data
from training.fit.request import FitRequest, request_of
from training.fit.step.watcher import Watcher
from training.stream import encode_log
from training.stream.asked import Asked

MEMBER = f"""
import pickle, sys
from pathlib import Path
from training.cluster.member_work import encoded, prepared, work
from training.stream.cache import shards
shards.SHARD, shards.MIXED = {SMALL["SHARD"]}, {SMALL["MIXED"]}
first, number, members, request = sys.argv[1:]
said = []
ready = encoded(prepared(Path(request).read_bytes()), int(number), 1, "", said.append)
assert not ready.error, ready.error
results = []
work(ready, int(number), int(members), first, said.append, results.append)
assert [result.error for result in results] == ([] if int(number) else [""])
"""


def request(home: Path, out: str, net: NetName) -> FitRequest:
    files = {"schema": home / "schema.toml", "config": home / "config.toml", "out": home / out}
    return request_of([home / "log.csv"], None, None, None, None, stream=True, net=net, **files)


def shared(asked: FitRequest, members: int) -> None:
    """Fit what is asked for by so many processes."""
    given = asked.out.with_name("request")
    given.write_bytes(pickle.dumps(asked))
    first = f"tcp://127.0.0.1:{free_port()}"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", MEMBER, first, str(number), str(members), str(given)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(members)
    ]
    for process in running:
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize(("net", "optimizer"), [("fm", "adam"), ("afm", "lazy_adam")])
def test_members_of_a_group_end_with_the_weights_of_one_process(
    home: Path, net: NetName, optimizer: str
) -> None:
    settings = (home / "config.toml").read_text()
    (home / "config.toml").write_text(f'optimizer = "{optimizer}"\n{settings}')
    shared(request(home, "by-2", net), 2)
    request(home, "alone", net).checked().fit(Watcher())
    assert weights(home, "by-2") == weights(home, "alone")


def test_a_log_is_encoded_once_for_those_that_ask_at_the_same_time(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, schema = Data((home / "log.csv",)), Schema.load(home / "schema.toml")
    passes: list[Path] = []
    write = encode_log._write

    def writing(folder: Path, *given: Any) -> None:
        passes.append(folder)
        write(folder, *given)

    monkeypatch.setattr(encode_log, "_write", writing)
    said: list[str] = []
    with ThreadPoolExecutor(3) as threads:
        asked = [
            threads.submit(encode_log.encoded_log, data, schema, Asked(0.1), 1, said.append)
            for _ in range(3)
        ]
    assert len({one.result().folder for one in asked}) == 1
    assert len(passes) == 1
    assert sum("encoded rows of an earlier fit" in line for line in said) == 2
