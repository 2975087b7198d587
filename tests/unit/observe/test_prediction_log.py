"""The prediction log: bounded files, a sample, and requests that are dropped when it is behind."""

import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from service.observe.prediction_log import FILES, MOST_WAITING, PredictionLog
from until import until


@pytest.fixture
def counter() -> Counter:
    return Counter("afm_prediction_log", "x", ("event",), registry=CollectorRegistry())


def count(counter: Counter, event: str) -> float:
    return float(counter.labels(event)._value.get())


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("predictions-*"))


def test_its_files_stay_below_their_size_and_the_oldest_go(
    tmp_path: Path, counter: Counter
) -> None:
    log = PredictionLog(tmp_path, 1.0, counter, 80_000)
    log.start()

    def written(number: int) -> None:
        log.offer(lambda: [{"number": number, "row": "x" * 2000}])
        until(lambda: count(counter, "written") == number + 1)

    for number in range(100):
        written(number)
    log.stop()
    assert 80_000 * (1 - 2 / FILES) < size(tmp_path) <= 80_000
    texts = "".join(path.read_text() for path in sorted(tmp_path.glob("predictions-*")))
    assert '"number":99,' in texts
    assert '"number":0,' not in texts


def test_what_it_cannot_keep_up_with_is_dropped_and_counted(
    tmp_path: Path, counter: Counter
) -> None:
    log = PredictionLog(tmp_path, 1.0, counter)
    log.start()
    free, held = threading.Event(), threading.Event()

    def slow() -> list[dict[str, Any]]:
        held.set()
        free.wait()
        return []

    log.offer(slow)
    held.wait()
    for _ in range(MOST_WAITING + 30):
        log.offer(list)
    assert count(counter, "dropped") == 30
    free.set()
    log.stop()
    assert count(counter, "written") == MOST_WAITING + 1


def test_a_share_of_the_requests_is_kept(tmp_path: Path, counter: Counter) -> None:
    log = PredictionLog(tmp_path, 0.25, counter)
    for _ in range(MOST_WAITING):  # none waits too many: a quarter of these fits
        log.offer(list)
    log.start()
    log.stop()
    assert 5 <= count(counter, "written") <= 50  # 25 expected; outside once in 10^6
