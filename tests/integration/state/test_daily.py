"""Three simulated days with drift; benchmarks/daily.py has the long form, and its tables."""

from typing import Any

import numpy as np
import pytest
from logs.worlds import simulate_days

from model.bundle.bundle import Bundle
from model.metrics.metrics import metrics
from training.config import Config, Step
from training.data.log import encode
from training.data.read_log import read_log
from training.fit.fit import fit
from training.fit.step.watcher import Watcher
from training.simulate.simulation import simulate
from training.state.warm_start import WarmStart

ROWS, HELD = 6000, 1500  # of a day; of the first, held back
FORGOTTEN = 0.037  # AUC, which quality.md says of FM after five days of 20,000 rows


def drawn(log: Any) -> Any:
    """The log without a tenth of each class, and that tenth: drawn as when FORGOTTEN was measured,
    since one draw differs from another by as much as a third of it.
    """
    rng = np.random.default_rng(1)
    held = np.zeros(len(log), dtype=np.bool_)
    for label in (0, 1):
        of_class = rng.permutation(np.flatnonzero(log.labels == label))
        held[of_class[: round(0.1 * len(of_class))]] = True
    return log.take(np.flatnonzero(~held)), log.take(np.flatnonzero(held))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`judged(way, day)`: a bundle as of that evening on the next day's rows, and on those of day 1
    that no way trained on: dicts of figures.
    """
    home = tmp_path_factory.mktemp("days")
    schema = simulate(100, 1).schema
    frames = simulate_days(ROWS, 4, 1, 0.15)
    frames = [frames[0][HELD:], *frames[1:], frames[0][:HELD]]
    for number, frame in enumerate(frames):
        frame.write_parquet(home / f"{number}.parquet")
    *days, first_again = [
        read_log(home / f"{number}.parquet", schema) for number in range(len(frames))
    ]
    # the settings that FORGOTTEN was measured with
    step = Step(
        epochs=8, patience=2, batch=256, learning_rate=0.002, l2_embedding=5e-4, dropout=0.0
    )
    config = Config(net="fm", embedding=8, fit=step, validation_rows=0)

    def evening(way: Any, day: Any, log: Any, start: Any = None) -> Any:
        out = home / f"{way}-{day}"
        train, held = drawn(log)
        fit(train, held, None, schema, config, out, 1, Watcher(), start)
        return Bundle.open(out)

    def figures(bundle: Any) -> Any:
        scored = []
        for log in (days[int(bundle.directory.name[-1])], first_again):
            p = bundle.read_scorer().predict(encode(bundle.read_encoder(), log)).probabilities
            scored.append(metrics(log.labels, p))
        return scored

    latest = evening("scratch", 1, days[0])
    found = {}
    for day in (2, 3):
        log = days[day - 1]
        found["scratch", day] = figures(evening("scratch", day, log))
        latest = evening("warm", day, log, WarmStart.open(latest.directory))
        found["warm", day] = figures(latest)
    every = days[0].joined(days[1]).joined(days[2])
    found["all", 3] = figures(evening("all", 3, every))
    return found


@pytest.mark.parametrize("day", [2, 3])
def test_a_warm_start_beats_a_fit_of_its_day_from_scratch_on_the_next_day(
    judged: Any, day: int
) -> None:
    (warm, _), (scratch, _) = judged["warm", day], judged["scratch", day]
    assert warm["logloss"] < scratch["logloss"]
    assert warm["auc"] > scratch["auc"]


def test_a_warm_start_forgets_no_more_of_the_first_day_than_is_stated(judged: Any) -> None:
    (_, warm), (_, every), (_, scratch) = (judged[way, 3] for way in ("warm", "all", "scratch"))
    assert every["auc"] - warm["auc"] < FORGOTTEN
    assert warm["auc"] > scratch["auc"]
