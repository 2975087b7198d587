"""Whether all ways to score agree, on 100,000 requests of random shape.

Worlds of a random net size, fields and split between context and ads; in each, requests of random
length with absent features. The rank graph (its ads' parts at hand, or not), the plain graph, the
sum of the explanation's terms and torch, in float32, are held against torch in float64; a
difference counts relative to max(1, |logit|). Weights are of the size that trained ones have.

    .venv/bin/python benchmarks/equality.py [--requests 100000] [--no-write]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from results import circumstances, keep, say, table

from model.encoding import Encoded, Slate
from model.manifest import Calibration, Dimensions
from model.nets import NETS, NetSizes, build
from model.scorer import Scorer
from training.export.onnx_graphs import export

WORLDS = 5  # of each net
ROWS = 500  # of the table
MOST_ADS = 60
WEIGHTS = 0.15
WAYS = ("rank, ads known", "rank", "plain", "explain", "torch")


def main() -> None:
    """Measure; write the table."""
    parser = argparse.ArgumentParser(description="Whether all ways to score agree.")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args()
    each = -(-options.requests // (WORLDS * len(NETS)))
    lines: list[list[object]] = []
    for name in NETS:
        worst = dict.fromkeys(WAYS, 0.0)
        for seed in range(WORLDS):
            for way, found in world(name, seed, each).items():
                worst[way] = max(worst[way], found)
        lines.append(
            [
                f"`{name}`",
                f"{WORLDS * each:,}",
                *(f"{worst[way]:.1e}" if worst[way] else "" for way in WAYS),
            ]
        )
        say(" | ".join(map(str, lines[-1])))
    text = f"{table(['net', 'requests', *WAYS], lines)}\n\n{circumstances('onnxruntime', 'torch')}"
    print(text)
    if not options.no_write:
        keep("equality", text)


def world(name: str, seed: int, requests: int) -> dict[str, float]:
    """The largest difference of each way on the requests of one net and split."""
    rng = np.random.default_rng(seed)
    fields = sorted(rng.integers(0, 12, rng.integers(4, 25)).tolist())
    fields = [sorted(set(fields)).index(field) for field in fields]
    split = rng.random(max(fields) + 1) < rng.uniform(0.2, 0.8)
    split[0], split[-1] = False, True
    candidate = split[fields].tolist()
    torch.manual_seed(seed)
    sizes = NetSizes(
        embedding=int(rng.integers(2, 33)), attention=int(rng.integers(2, 33)), hidden=(16,)
    )
    net = build(name, ROWS, fields, sizes).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=WEIGHTS)
    with tempfile.TemporaryDirectory(prefix="afm-bench-") as home:
        export(net, Calibration(), candidate, Path(home))
        dimensions = Dimensions(rows=ROWS, slots=len(fields), **net.sizes)
        scorer = Scorer(Path(home), dimensions, float(net.bias.detach()), candidate)
        exact = build(name, ROWS, fields, sizes).double().eval()
        exact.load_state_dict(net.state_dict())
        worst = dict.fromkeys(WAYS, 0.0)
        for _ in range(requests):
            rows, slate = request(rng, np.array(candidate))
            ids, values = torch.from_numpy(rows.ids), torch.from_numpy(rows.values)
            with torch.no_grad():
                expected = exact(ids, values.double()).numpy()
                torch_found = net(ids, values).numpy()
            known = Slate(slate.context, slate.ads, scorer.ad_partials(slate.ads))
            found = {
                "rank, ads known": scorer.rank(known).logits,
                "rank": scorer.rank(slate).logits,
                "plain": scorer.predict_plainly(rows).logits,
                "explain": summed(name, scorer, rows),
                "torch": torch_found,
            }
            size = np.maximum(1, np.abs(expected))
            for way, logits in found.items():
                if logits is not None:
                    difference = float((np.abs(logits - expected) / size).max())
                    worst[way] = max(worst[way], difference)
    return worst


def request(rng: np.random.Generator, candidate: np.ndarray) -> tuple[Encoded, Slate]:
    """One context with its ads, as whole rows and apart."""
    count, slots = int(rng.integers(1, MOST_ADS + 1)), len(candidate)
    ids = rng.integers(0, ROWS, (count, slots))
    values = np.ones((count, slots), np.float32)
    numeric = rng.random(slots) < 0.3
    values[:, numeric] = rng.normal(size=(count, int(numeric.sum())))
    values[rng.random((count, slots)) < rng.choice([0.0, 0.1, 0.5, 0.9])] = 0
    ids[:, ~candidate], values[:, ~candidate] = ids[0, ~candidate], values[0, ~candidate]
    context, ads = (
        Encoded(np.ascontiguousarray(ids[:some, side]), np.ascontiguousarray(values[:some, side]))
        for some, side in ((1, ~candidate), (count, candidate))
    )
    return Encoded(ids, values), Slate(context, ads)


def summed(name: str, scorer: Scorer, rows: Encoded) -> np.ndarray | None:
    """The logits as sums of the terms of their explanation; None where the net is no sum."""
    if name == "nfm":
        return None
    terms = scorer.explain(rows)
    found: np.ndarray = scorer.bias + terms.linear.sum(1, np.float64)
    if terms.contribution is not None:
        found = found + terms.contribution.sum(1, np.float64)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
