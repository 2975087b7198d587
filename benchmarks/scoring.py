"""The graphs themselves: naive, plain and rank, one thread, without a server.

Each cell is one context with N ads, float32, K = T; all have the same weights, and their answers
are checked to be equal before any ratio. "rank" computes the ads' own parts, "kept" has them, as
the service mostly has; "picked" is the one of plain and kept that the service picks at warm-up. The
peak is what the same thread reaches in a product of large matrices; the share of it counts what the
kept graph has to multiply, the pairs across and the context's own. The table goes into
benchmarks/README.md.

    .venv/bin/python benchmarks/scoring.py [--rounds 7] [--no-write]
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np
import onnxruntime
import torch
from processes.naive_graph import export_naive
from results import circumstances, keep, say, table

from model.encoding import Encoded, Slate
from model.manifest import Calibration, Dimensions
from model.nets import Net, NetSizes, build
from model.scorer import MEASURED_ROWS, Scorer
from training.export.onnx_graphs import export

SHAPES = ((23, 15), (39, 30))  # slots, of them the context's
SIZES = (16, 32)  # K = T
ADS = (1, 10, 50, 100, 500, 1000)
VALUES = 1000  # rows of the table for each slot
TOLERANCE = 1e-5
CELL_SECONDS = 0.2
COLUMNS = ("naive", "plain", "rank", "kept", "fm")
PEAK_SIDE = 1024  # of the matrices that the peak is measured with

Score = Callable[[Slate], np.ndarray]
Made = TypeVar("Made")


def main() -> None:
    """Run the benchmark and write its table."""
    parser = argparse.ArgumentParser(description="The graphs side by side.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args()
    lines = []
    for slots, context in SHAPES:
        for size in SIZES:
            with tempfile.TemporaryDirectory(prefix="afm-bench-") as home:
                graphs, picks = make_graphs(Path(home), slots, context, size)
                for ads in ADS:
                    picked = "kept" if picks(ads) else "plain"
                    lines.append(row(graphs, picked, slots, context, size, ads, options.rounds))
    head = ["slots", "context", "K = T", "ads", "naive rows/s", "plain", "rank", "kept", "bare FM"]
    head += ["plain / naive", "rank / naive", "kept / naive", "picked / naive", "of the peak"]
    text = (
        f"{table(head, lines)}\n\n{circumstances('onnxruntime')} One thread; medians of "
        f"{options.rounds} rounds of {CELL_SECONDS:g} s a cell, the graphs in turn; answers equal "
        f"to {TOLERANCE:g}."
    )
    print(text)
    if not options.no_write:
        keep("scoring", text)


def make_graphs(
    home: Path, slots: int, context: int, size: int
) -> tuple[dict[str, Score], Callable[[int], bool]]:
    """The ways to score, by name; random weights of a size that keeps attention uneven. And whether
    the service picks the rank graph for a number of ads.
    """
    candidate = [slot >= context for slot in range(slots)]
    found: dict[str, Score] = {}
    for name in ("afm", "fm"):
        torch.manual_seed(1)
        net = build(name, VALUES * slots, range(slots), NetSizes(embedding=size, attention=size))
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.normal_(std=0.3)
        (home / name).mkdir()
        export(net, Calibration(), candidate, home / name)
        dimensions = Dimensions(rows=VALUES * slots, slots=slots, **net.sizes)
        scorer = Scorer(home / name, dimensions, float(net.bias.detach()), candidate)
        if name == "fm":
            found["fm"] = plain(scorer)
        else:
            scorer.choose_graphs(request(slots, context, max(MEASURED_ROWS)))
            picks = scorer.ranks
            found |= {
                "naive": naive(net, slots, scorer, home / "naive.onnx"),
                "plain": plain(scorer),
                "rank": ranked(scorer),
                "kept": kept(scorer),
            }
    return found, picks


def plain(scorer: Scorer) -> Score:
    """Whole rows through the plain graph."""
    whole = Kept(scorer.joined)
    return lambda slate: scorer.predict_plainly(whole(slate)).predictions


def ranked(scorer: Scorer) -> Score:
    """The rank graph."""
    return lambda slate: scorer.rank(Slate(slate.context, slate.ads)).predictions


def kept(scorer: Scorer) -> Score:
    """The rank graph, the ads' own parts at hand."""
    known = Kept(lambda slate: Slate(slate.context, slate.ads, scorer.ad_partials(slate.ads)))
    return lambda slate: scorer.rank(known(slate)).predictions


def naive(net: Net, slots: int, scorer: Scorer, path: Path) -> Score:
    """The graph of the equation as it stands, in one run of any size."""
    weights = {f"net.{name}": parameter.detach() for name, parameter in net.named_parameters()}
    export_naive(weights, slots, Calibration(), path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    whole = Kept(scorer.joined)

    def score(slate: Slate) -> np.ndarray:
        rows = whole(slate)
        found: np.ndarray = session.run(None, {"ids": rows.ids, "values": rows.values})[0]
        return found

    return score


class Kept(Generic[Made]):
    """What a function made of the last slate, so that it is not timed."""

    def __init__(self, make: Callable[[Slate], Made]) -> None:
        self._make = make
        self._last: tuple[Slate, Made] | None = None

    def __call__(self, slate: Slate) -> Made:
        """Made at the first call with a slate."""
        if self._last is None or self._last[0] is not slate:
            self._last = slate, self._make(slate)
        return self._last[1]


def row(
    graphs: dict[str, Score],
    picked: str,
    slots: int,
    context: int,
    size: int,
    ads: int,
    rounds: int,
) -> list[object]:
    """One line of the table: medians over rounds, the graphs in turn."""
    slate = request(slots, context, ads)
    answers = {name: graphs[name](slate) for name in COLUMNS if name != "fm"}
    for name, answer in answers.items():
        difference = float(np.abs(answer - answers["naive"]).max())
        assert difference <= TOLERANCE, f"{name} differs by {difference:.2g}"
    rates: dict[str, list[float]] = {name: [] for name in COLUMNS}
    peaks = []
    for number in range(rounds):
        peaks.append(peak())
        for name in COLUMNS if number % 2 == 0 else COLUMNS[::-1]:
            rates[name].append(ads * calls_per_second(graphs[name], slate))
    found = {name: median(rate) for name, rate in rates.items()}
    ratios = [found[name] / found["naive"] for name in ("plain", "rank", "kept", picked)]
    across, within = context * (slots - context), context * (context - 1) // 2
    operations = 2 * (across + within / ads) * size * (size + 2)  # a row; W, h and p
    cells = [slots, context, size, ads, *(f"{found[name]:,.0f}" for name in COLUMNS)]
    cells += [f"{ratio:.1f}" for ratio in ratios]
    cells.append(f"{found['kept'] * operations / median(peaks):.0%}")
    say(" | ".join(map(str, cells)))
    return cells


def request(slots: int, context: int, ads: int) -> Slate:
    """One context with its ads; all features are present, which is the most expensive case."""
    rng = np.random.default_rng(ads)
    ids = rng.integers(0, VALUES, (ads, slots)) + VALUES * np.arange(slots)
    ours, theirs = (np.ascontiguousarray(part) for part in np.split(ids, [context], axis=1))
    return Slate(
        Encoded(ours[:1], np.ones((1, context), np.float32)),
        Encoded(theirs, np.ones(theirs.shape, np.float32)),
    )


def calls_per_second(score: Score, slate: Slate) -> float:
    """Calls back to back for a cell's time."""
    calls, began = 0, perf_counter()
    while (passed := perf_counter() - began) < CELL_SECONDS:
        score(slate)
        calls += 1
    return calls / passed


def peak() -> float:
    """Operations a second of one thread in a product of large matrices."""
    one = torch.ones(PEAK_SIDE, PEAK_SIDE)
    began = perf_counter()
    torch.mm(one, one)
    return 2 * PEAK_SIDE**3 / (perf_counter() - began)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
