"""Samples a second of the product's training step, updates included: by autograd with Adam, as
before there were kernels, and by kernels with lazy Adam; and of deepctr-torch and torchfm as they
are shipped.

    python benchmarks/training_speed.py                             each net, at a million values
    python benchmarks/training_speed.py --nets afm --values 1e4,1e5,1e6,1e7
    python benchmarks/training_speed.py --nets afm --peers DIR      DIR: the peers' environment

Rows are drawn: F fields of V / F values each, all as likely, which is the hardest case for caches.
What is compared runs in one call, in turns; a figure is the median of --rounds. --threads 1
--cpu-time counts the time of the thread and not the clock's, for a machine that others use.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from model.nets import NetSizes, build
from training.config import Step
from training.cores import one_core_an_operation
from training.data.examples import Examples
from training.fit.malloc import keep_freed_memory
from training.fit.step.objective import Objective
from training.fit.step.one_epoch import one_epoch
from training.fit.step.watcher import Watcher
from training.kernels.optimisers import optimiser_of, shares_of
from training.kernels.passes import pass_of

FIELDS, K, T = 39, 16, 16
PEERS = ("deepctr", "torchfm")
TUNED = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
HERE = Path(__file__).parent / "peers"


def drawn(values: int, rows: int) -> tuple[Examples, list[int]]:
    """Rows with clicks that depend on the values, and the fields' sizes."""
    rng = np.random.default_rng(7)
    size = values // FIELDS
    ids = rng.integers(0, size, (rows, FIELDS))
    effect = rng.normal(0, 0.3, (FIELDS, 101))
    logit = effect[np.arange(FIELDS), ids % 101].sum(1) - 1
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    whole = torch.from_numpy(ids + size * np.arange(FIELDS))
    ones = torch.ones(rows)
    values_of = torch.ones(rows, FIELDS)
    return Examples(whole, values_of, torch.from_numpy(labels), ones), [size] * FIELDS


class Product:
    """A net with its step, that continues from call to call."""

    def __init__(self, name: str, rows: Examples, values: int, batch: int, dropout: float) -> None:
        torch.manual_seed(1)
        self.rows, self.batch = rows, batch
        self.net = build(name, values, range(FIELDS), NetSizes(K, T))
        if name in ("afm", "afm+"):
            torch.nn.init.normal_(self.net.get_parameter("h"), std=0.1)
        step = Step(learning_rate=1e-3, batch=batch, l2_embedding=1e-6, dropout=dropout)
        self.sized = step.sized(len(rows))
        for key, layer in self.net.dropouts().items():
            layer.set_rate(getattr(self.sized, key))

    def ready(self, *, after: bool) -> "Product":
        """With the step as it is, or as it was."""
        shares = None
        if after:
            uses = torch.bincount(self.rows.ids.flatten(), minlength=len(self.net.linear))
            shares = shares_of(uses.double(), len(self.rows), self.batch)
        # as a fit does it: torch's own threads look for work for a while after each operation, and
        # take a core from the kernels. The step before had all of them
        self.threads = one_core_an_operation if after else nullcontext
        self.optimiser = optimiser_of(self.net, self.sized, 1e-3, shares)
        self.by_pass = pass_of(self.net, kernels=after, row_wise=after)
        return self

    def epoch(self, rows: Examples) -> float:
        """The mean loss of the rows."""
        parts = self.net, self.by_pass, self.optimiser, self.batch
        with self.threads():
            return one_epoch(*parts, rows, lambda ids: ids, Watcher(), Objective())


def part(rows: Examples, start: int, stop: int) -> Examples:
    """Some of the rows."""
    return Examples(*(t[start:stop] for t in (rows.ids, rows.values, rows.labels, rows.weights)))


def product_rate(
    name: str, rows: Examples, values: int, options: argparse.Namespace, *, after: bool
) -> tuple[float, float]:
    """Samples a second, and the loss."""
    clock = time.thread_time if options.cpu_time else time.perf_counter
    product = Product(name, rows, values, options.batch, options.dropout).ready(after=after)
    product.epoch(part(rows, 0, options.batch))  # warms up, and compiles
    rest = part(rows, options.batch, len(rows))
    began = clock()
    loss = product.epoch(rest)
    return len(rest) / (clock() - began), loss


def peer_rate(
    python: Path, name: str, log: Path, options: argparse.Namespace, tuned: dict[str, str]
) -> tuple[float, float]:
    """The same of a peer, in a process of its own."""
    arguments = [str(n) for n in (options.batch, K, T, options.threads)]
    found = subprocess.run(
        [str(python), str(HERE / "training_step.py"), str(log), name, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | tuned,
    )
    answer = json.loads(found.stdout.splitlines()[-1])
    return answer["rate"], answer["loss"]


def peers_python(home: Path) -> Path:
    """The Python of the peers' environment, made when it is absent; it shares this one's torch."""
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        site = next((home / "lib").glob("python*/site-packages"))
        ours = next(Path(sys.prefix, "lib").glob("python*/site-packages"))
        (site / "ours.pth").write_text(f"{ours}\n")
        wanted = HERE / "requirements-training.txt"
        pip = [str(python), "-m", "pip", "install", "-q", "--no-deps", "-r", str(wanted)]
        subprocess.run(pip, check=True)
    return python


def compared(values: int, net: str, options: argparse.Namespace) -> None:
    """A line for each way of fitting the net, with how many times as fast the kernels are."""
    rows, sizes = drawn(values, options.batch * (options.batches + 1))
    table = sum(sizes)
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "rows.npz"
        if options.peers:
            starts = np.cumsum([0, *sizes[:-1]])
            ids = rows.ids.numpy() - starts
            np.savez(log, ids=ids, labels=rows.labels.numpy(), sizes=np.array(sizes))
        for _ in range(options.rounds):
            for after in (False, True):
                one = product_rate(net, rows, table, options, after=after)
                found.setdefault("after" if after else "before", []).append(one)
            for name in PEERS if options.peers and net == "afm" else ():
                for tuned in (False, True):
                    called = f"{name}, malloc tuned" if tuned else name
                    python = peers_python(options.peers)
                    one = peer_rate(python, name, log, options, TUNED if tuned else {})
                    found.setdefault(called, []).append(one)
    ours = statistics.median(rate for rate, _ in found["after"])
    for called, each in found.items():
        rate = statistics.median(rate for rate, _ in each)
        loss = statistics.median(loss for _, loss in each)
        print(
            f"| {net} | {values:.0e} | {called} | {rate:,.0f} | {ours / rate:.1f} | {loss:.4f} |",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--nets", default="afm,afm+,fwfm,fm,ffm")
    parser.add_argument("--values", default="1e6")
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--peers", type=Path, help="where the peers' environment is, or is made")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    print("| net | values | step | samples/s | after, times as fast | loss |")
    print("|---|---|---|---|---|---|")
    for net in options.nets.split(","):
        for values in options.values.split(","):
            compared(int(float(values)), net, options)


if __name__ == "__main__":
    main()
