"""Five simulated days with drift: each day's log fitted from the model before, or from scratch.

    python benchmarks/daily.py [--nets fm,afm+] [--seeds 1,2,3] [--rows 20000] [--turn 0.15]

Every evening each way makes a bundle of the day's log, within the same number of epochs. It is
judged on the whole next day, and on rows of day 1 that no way trained on: what it forgot. Prints
the tables of quality.md, section "Warm start".
"""

import argparse
import tempfile
from collections import defaultdict
from functools import reduce
from pathlib import Path

import numpy as np
from logs.worlds import simulate_days

from model.bundle.bundle import Bundle
from model.metrics.metrics import metrics
from model.schema import Schema
from training.config import Config, NetName, Step
from training.data.log import Log, encode
from training.data.read_log import read_log
from training.fit.fit import fit
from training.fit.malloc import keep_freed_memory
from training.fit.step.watcher import Watcher
from training.simulate.simulation import simulate
from training.state.adam_moments import moments_path
from training.state.warm_start import WarmStart

DAYS = 5
EPOCHS = 8  # an evening's budget; afm+ from scratch has half of it for each of its steps
HELD = 0.2  # of day 1
SCRATCH, ALL, WARM, ADAM, REPLAY = (
    "from scratch",
    "from scratch, all days so far",
    "warm start",
    "warm start, Adam going on",
    "warm start, a fifth replayed",
)
NEXT, FIRST = "the next day", "day 1 again"

# way, part -> evening (from 1) -> one dict of figures a seed
Figures = dict[tuple[str, str], dict[int, list[dict[str, float]]]]


def config(net: NetName, *, warm: bool) -> Config:
    """The same epochs whether they are one step or two."""
    steps = 1 if warm or net != "afm+" else 2
    fitted = Step(epochs=EPOCHS // steps, patience=2)
    attention = Step(epochs=EPOCHS // steps, patience=2, learning_rate=1e-3)
    return Config(net=net, fit=fitted, attention=attention)


def days(home: Path, rows: int, seed: int, turn: float, schema: Schema) -> list[Log]:
    """The days' logs, that of the day after them, and the rows of day 1 held back."""
    frames = simulate_days(rows, DAYS + 1, seed, turn)
    cut = round(rows * (1 - HELD))
    frames = [frames[0][:cut], *frames[1:], frames[0][cut:]]
    for number, frame in enumerate(frames):
        frame.write_parquet(home / f"{number}.parquet")
    return [read_log(home / f"{number}.parquet", schema) for number in range(len(frames))]


def judged(bundle: Bundle, log: Log) -> dict[str, float]:
    """AUC and logloss of a bundle's graph."""
    probabilities = bundle.read_scorer().predict(encode(bundle.read_encoder(), log)).probabilities
    assert probabilities is not None
    measured = metrics(log.labels, probabilities)
    return {name: float(measured[name] or np.nan) for name in ("auc", "logloss")}


def run(net: NetName, rows: int, seed: int, turn: float, figures: Figures) -> None:
    """One world: day 1 from scratch, then each way for itself."""
    schema = simulate(100, seed).schema
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        *logs, day_1 = days(home, rows, seed, turn, schema)

        def evening(way: str, day: int, log: Log, start: WarmStart | None = None) -> Bundle:
            out = home / f"{way} {day}"
            chosen = config(net, warm=start is not None)
            how = log, None, None, schema, chosen, out, seed, Watcher(), start
            fitted = fit(*how, keep_optimiser=True)
            bundle = Bundle.open(out)
            took = {"seconds": sum(epoch.seconds for epoch in fitted.epochs)}
            for part, judge in ((NEXT, logs[day]), (FIRST, day_1)):
                figures[way, part][day].append(judged(bundle, judge) | took)
            return bundle

        first = evening(SCRATCH, 1, logs[0])
        for way in (ALL, WARM, ADAM, REPLAY):
            for part in (NEXT, FIRST):
                figures[way, part][1].append(figures[SCRATCH, part][1][-1])
        latest = {WARM: first, ADAM: first, REPLAY: first}
        for day in range(2, DAYS + 1):
            before = reduce(Log.joined, logs[: day - 1])
            evening(SCRATCH, day, logs[day - 1])
            evening(ALL, day, before.joined(logs[day - 1]))
            for way, replay in ((WARM, None), (ADAM, None), (REPLAY, before)):
                start = WarmStart.open(latest[way].directory).with_replay(replay)
                kept = moments_path(latest[way].directory)
                if way == ADAM and kept.exists():
                    start = start.with_optimiser(kept)
                latest[way] = evening(way, day, logs[day - 1], start)


def table(net: str, figures: Figures) -> str:
    """Means over the seeds, one row a way."""
    head = f"| {net} | judged on | " + " | ".join(f"{day}" for day in range(1, DAYS + 1))
    lines = [f"{head} | logloss, mean of 2 to {DAYS} | seconds |", f"|--|--|{'--:|' * (DAYS + 2)}"]
    for (way, part), by_day in figures.items():
        mean = {
            name: [np.mean([one[name] for one in by_day[day]]) for day in range(1, DAYS + 1)]
            for name in ("auc", "logloss", "seconds")
        }
        auc = " | ".join(f"{value:.4f}" for value in mean["auc"])
        rest = f"{np.mean(mean['logloss'][1:]):.4f} | {np.mean(mean['seconds'][1:]):.1f}"
        lines.append(f"| {way} | {part} | {auc} | {rest} |")
    return "\n".join(lines)


def won(figures: Figures) -> str:
    """On how many evenings warm start had the lower logloss on the next day."""
    ours, theirs = figures[WARM, NEXT], figures[SCRATCH, NEXT]
    wins = [
        a["logloss"] < b["logloss"]
        for day in range(2, DAYS + 1)
        for a, b in zip(ours[day], theirs[day], strict=True)
    ]
    return f"warm start below from scratch in logloss on {sum(wins)} of {len(wins)} next days"


def main() -> None:
    """Run all, and print one table a net."""
    parser = argparse.ArgumentParser(description="Warm start against fits from scratch.")
    parser.add_argument("--nets", default="fm,afm+")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--rows", type=int, default=20_000, help="of a day")
    parser.add_argument("--turn", type=float, default=0.15, help="drift, in radians a day")
    options = parser.parse_args()
    keep_freed_memory()
    for net in options.nets.split(","):
        figures: Figures = defaultdict(lambda: defaultdict(list))
        for seed in map(int, options.seeds.split(",")):
            run(net, options.rows, seed, options.turn, figures)
        print(table(net, figures), won(figures), sep="\n\n", end="\n\n", flush=True)


if __name__ == "__main__":
    main()
