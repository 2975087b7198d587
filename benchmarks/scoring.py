"""The graphs themselves: naive, plain, and rank, one thread, without a server.

Each cell is one context with N ads, float32, K = T; all have the same weights, and their answers
are checked to be equal before any ratio. The table goes into benchmarks/README.md.

    .venv/bin/python benchmarks/scoring.py [--rounds 7] [--no-write]
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import onnxruntime
import torch
from naive_graph import export_naive
from serve import cpu_model, keep

from model.encoding import Encoded
from model.manifest import Calibration, Dimensions
from model.nets import Net, Settings, build
from model.scorer import Scorer
from training.export import export

HERE = Path(__file__).parent
SHAPES = ((23, 15), (39, 30))  # slots, of them the context's
SIZES = (16, 32)  # K = T
ADS = (1, 10, 50, 100, 500)
VALUES = 1000  # rows of the table for each slot
TOLERANCE = 1e-5
CELL_SECONDS = 0.2
MARKS = ("<!-- scoring:begin -->", "<!-- scoring:end -->")
COLUMNS = ("naive", "plain", "rank", "fm")


def main() -> None:
    """Run the benchmark and write its table."""
    parser = argparse.ArgumentParser(description="The graphs side by side.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-write", action="store_true", help="leave benchmarks/README.md alone")
    arguments = parser.parse_args()
    lines = [
        "| slots | context | K = T | ads | naive rows/s | plain | rank | bare FM | plain / naive "
        "| rank / naive |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for slots, context in SHAPES:
        for size in SIZES:
            with tempfile.TemporaryDirectory(prefix="afm-bench-") as home:
                graphs = make_graphs(Path(home), slots, context, size)
                lines += [row(graphs, slots, context, size, ads, arguments.rounds) for ads in ADS]
    text = "\n".join(lines) + f"\n\n{circumstances(arguments.rounds)}\n"
    print(text)
    if not arguments.no_write:
        keep(HERE / "README.md", text, *MARKS)


def make_graphs(
    home: Path, slots: int, context: int, size: int
) -> dict[str, Callable[[Encoded], np.ndarray]]:
    """The four ways to score, by name; random weights of a size that keeps attention uneven."""
    candidate = [slot >= context for slot in range(slots)]
    found: dict[str, Callable[[Encoded], np.ndarray]] = {}
    for name in ("afm", "fm"):
        torch.manual_seed(1)
        net = build(name, VALUES * slots, range(slots), Settings(embedding=size, attention=size))
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.normal_(std=0.3)
        (home / name).mkdir()
        export(net, Calibration(), candidate, home / name)
        dimensions = Dimensions(rows=VALUES * slots, slots=slots, **net.sizes)
        scorer = Scorer(home / name, dimensions, float(net.bias.detach()), candidate)
        if name == "fm":
            found["fm"] = lambda encoded, s=scorer: s.predict_plainly(encoded).probabilities
        else:
            found |= {
                "naive": naive(net, slots, home / "naive.onnx"),
                "plain": lambda encoded, s=scorer: s.predict_plainly(encoded).probabilities,
                "rank": lambda encoded, s=scorer: s.rank(encoded).probabilities,
            }
    return found


def naive(net: Net, slots: int, path: Path) -> Callable[[Encoded], np.ndarray]:
    """The graph of the equation as it stands, in one run of any size."""
    weights = {f"net.{name}": parameter.detach() for name, parameter in net.named_parameters()}
    export_naive(weights, slots, Calibration(), path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def score(encoded: Encoded) -> np.ndarray:
        (found,) = session.run(None, {"ids": encoded.ids, "values": encoded.values})
        return found

    return score


def row(
    graphs: dict[str, Callable[[Encoded], np.ndarray]],
    slots: int,
    context: int,
    size: int,
    ads: int,
    rounds: int,
) -> str:
    """One line of the table: medians over rounds, the graphs in turn."""
    encoded = request(slots, context, ads)
    answers = {name: graphs[name](encoded) for name in ("naive", "plain", "rank")}
    for name, found in answers.items():
        difference = float(np.abs(found - answers["naive"]).max())
        assert difference <= TOLERANCE, f"{name} differs by {difference:.2g}"
    rates: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for number in range(rounds):
        for name in COLUMNS if number % 2 == 0 else COLUMNS[::-1]:
            rates[name].append(ads * calls_per_second(graphs[name], encoded))
    found = {name: median(rate) for name, rate in rates.items()}
    ratios = [found[name] / found["naive"] for name in ("plain", "rank")]
    cells = [slots, context, size, ads, *(f"{found[name]:,.0f}" for name in COLUMNS)]
    print(*cells, *(f"{ratio:.1f}" for ratio in ratios), file=sys.stderr, flush=True)
    return f"| {' | '.join(map(str, cells))} | {ratios[0]:.1f} | {ratios[1]:.1f} |"


def request(slots: int, context: int, ads: int) -> Encoded:
    """One context with its ads; all features are present, which is the dearest case."""
    rng = np.random.default_rng(ads)
    ids = rng.integers(0, VALUES, (ads, slots)) + VALUES * np.arange(slots)
    ids[:, :context] = ids[:1, :context]
    return Encoded(ids, np.ones((ads, slots), np.float32), shared=True)


def calls_per_second(score: Callable[[Encoded], np.ndarray], encoded: Encoded) -> float:
    """Calls back to back for a cell's time."""
    calls, began = 0, perf_counter()
    while (passed := perf_counter() - began) < CELL_SECONDS:
        score(encoded)
        calls += 1
    return calls / passed


def circumstances(rounds: int) -> str:
    """What the figures were measured with."""
    return (
        f"Measured on {datetime.now(UTC):%d %B %Y}: {cpu_model()}, {os.cpu_count()} cores, one "
        f"thread, Python {platform.python_version()}, onnxruntime {version('onnxruntime')}. "
        f"Medians of {rounds} rounds of {CELL_SECONDS:g} s a cell; answers equal to {TOLERANCE:g}."
    )


if __name__ == "__main__":
    main()
