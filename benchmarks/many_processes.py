"""What several processes gain that share a fit, each on a core of its own, and what a plan for many
machines follows from it (docs/scale.md).

    python benchmarks/many_processes.py                    two processes of one core against one
    python benchmarks/many_processes.py --values 1e7 --net ffm
    python benchmarks/many_processes.py --plan         the tables of docs/scale.md, from COSTS

Both run in turns, and end with the same weights, which is checked. F = 39 fields, K = T = 16. In
the same turns two processes run that share nothing, each a fit of its own: what the two cores give
to both at once, which is less than twice one core's where they share more than memory.
--cpu-time counts the processor time of a process and not the clock's, for a machine that others
use: then nothing is known of how long one waits for another.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from processes.servers import free_port
from training_speed import FIELDS, K, Product, drawn

from training import group
from training.fit.malloc import keep_freed_memory
from training.fit.step.objective import Objective
from training.fit.step.one_epoch import one_epoch
from training.fit.step.watcher import Watcher
from training.kernels.owned_rows import fetch, handed_over, uses_of

NUMBER = 4  # bytes of a float32


class Measured(NamedTuple):
    """Of a process, in seconds: `whole` a step, of it the `update`; by themselves, the `exchange`
    of a step, finding out which rows are `owned` by whom, and the gathering of the tables after an
    `epoch`. `weights`: a digest.
    """

    whole: float
    update: float
    exchange: float
    owned: float
    epoch: float
    weights: str


class Costs(NamedTuple):
    """Of one core, in seconds a row: of the pass, of the update, and of finding out who owns what,
    which each process does for all rows; and `bytes_per_second` that one process takes from others,
    with what it copies for it.
    """

    forward_backward: float
    update: float
    owned: float
    bytes_per_second: float


# AFM at a million values, from a run of this script; see benchmarks/README.md
COSTS = Costs(forward_backward=56e-6, update=14.5e-6, owned=0.5e-6, bytes_per_second=0.55e9)


def wire_bytes(rows: int, members: int, fields: int = FIELDS, size: int = K) -> float:
    """What a process takes from the others in a step: the rows of the tables that its part of the
    batch uses, the slopes of those that it owns, and scores.
    """
    others = 1 - 1 / members
    return rows * others * (2 / members * fields * (size + 1) + 1) * NUMBER


def step_seconds(costs: Costs, rows: int, members: int) -> float:
    """What a step of `rows` takes that so many processes share, each on one core."""
    seconds = rows * (costs.forward_backward + costs.update) / members
    if members == 1:
        return seconds
    taken = wire_bytes(rows, members) / costs.bytes_per_second
    return seconds + rows * costs.owned + taken


class Marks(Watcher):
    """When each batch was done."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.at: list[float] = []

    def batch(self, loss: float) -> None:  # noqa: ARG002  a watcher's
        """See Watcher."""
        self.at.append(self.clock())


def of_one(
    options: argparse.Namespace, core: int, first: str, number: int, members: int
) -> Measured:
    """One process: the median of its steps, without the first, which compiles."""
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})
    keep_freed_memory()
    rows, sizes = drawn(int(options.values), options.batch * (options.batches + 1))
    product = Product(options.net, rows, sum(sizes), options.batch, 0.0).ready(after=True)
    step, seconds = product.optimiser.step, []
    clock = time.process_time if options.cpu_time else time.perf_counter

    def timed() -> None:
        began = clock()
        step()
        seconds.append(clock() - began)

    product.optimiser.step = timed  # type: ignore[method-assign, assignment]  # a stopwatch
    marks = Marks(clock)
    parts = product.net, product.by_pass, product.optimiser, options.batch
    with group.joined(first, number, members, timedelta(seconds=300)):
        one_epoch(*parts, rows, lambda ids: ids, marks, Objective())
        gathered = clock() - marks.at[-1]
        ids = rows.ids[: options.batch].numpy()
        beside = _exchange_seconds(product, ids, clock) if members > 1 else (0.0, 0.0)
    found = hashlib.sha256()
    for parameter in product.net.state_dict().values():
        found.update(parameter.numpy().data)
    steps = statistics.median(np.diff(marks.at).tolist())
    return Measured(steps, statistics.median(seconds[1:]), *beside, gathered, found.hexdigest())


def _exchange_seconds(
    product: Product, ids: NDArray[np.int64], clock: Callable[[], float]
) -> tuple[float, float]:
    rows, slots = ids.shape
    tables = [product.net.get_parameter(name).detach().numpy() for name in ("embedding", "linear")]
    slopes = [np.zeros((rows * slots, table.shape[1]), table.dtype) for table in tables]
    exchanges, scans = [], []
    for _ in range(5):
        group.agreed(True)  # together
        began = clock()
        uses = uses_of(ids)
        assert uses is not None
        assert len(uses.owned)
        scanned = clock()
        fetch(uses, *tables)
        handed_over(uses, *slopes)
        exchanges.append(clock() - scanned)
        scans.append(scanned - began)
    return statistics.median(exchanges), statistics.median(scans)


def of_all(members: int, given: Sequence[str]) -> Measured:
    """So many processes that share a fit: the slowest of them.

    Raises:
        RuntimeError: they end with different weights.
    """
    first = _address()
    return _slowest([(number, first, number, members) for number in range(members)], given)


def of_two_fits(given: Sequence[str]) -> Measured:
    """Two processes with a fit each, at the same time: the slower of them."""
    return _slowest([(core, _address(), 0, 1) for core in range(2)], given)


def _address() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


def _slowest(members: Sequence[tuple[int, str, int, int]], given: Sequence[str]) -> Measured:
    running = [
        subprocess.Popen(
            [sys.executable, __file__, *given, "--member", *map(str, member)],
            stdout=subprocess.PIPE,
        )
        for member in members
    ]
    found = [Measured(*json.loads(one.communicate()[0])) for one in running]
    if len({one.weights for one in found}) > 1:
        raise RuntimeError("the processes end with different weights")
    return max(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--net", default="afm")
    parser.add_argument("--values", type=float, default=1e6)
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--member", nargs=4, help=argparse.SUPPRESS)
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    if options.member:
        core, first, number, members = options.member
        found = of_one(options, int(core), first, int(number), int(members))
        sys.stdout.write(json.dumps(found))
        return
    if options.plan:
        show_plan()
        return
    alone, two, apart = [], [], []
    for _ in range(options.rounds):
        alone.append(of_all(1, given))
        two.append(of_all(2, given))
        apart.append(of_two_fits(given))
        if len({runs[-1].weights for runs in (alone, two, apart)}) > 1:
            raise RuntimeError("two processes end with other weights than one")
    one, pair, two_fits = (
        statistics.median(each.whole for each in runs) for runs in (alone, two, apart)
    )
    update = statistics.median(each.update for each in alone)
    exchange, owned, epoch = (
        statistics.median(getattr(each, name) for each in two)
        for name in ("exchange", "owned", "epoch")
    )
    rows = options.batch
    per_second = wire_bytes(rows, 2) / exchange
    costs = Costs((one - update) / rows, update / rows, owned / rows, per_second)
    print("| net | values | processes | samples/s | times as fast | the plan says | bytes taken |")
    print("|---|---|---|---|---|---|---|")
    for members, seconds in ((1, one), (2, pair)):
        said = one / step_seconds(costs, rows, members)
        print(
            f"| {options.net} | {options.values:.0e} | {members} | {rows / seconds:,.0f} | "
            f"{one / seconds:.2f} | {said:.2f} | {wire_bytes(rows, members):,.0f} |"
        )
    print(
        f"two processes with a fit each: {2 * rows / two_fits:,.0f} samples/s, "
        f"{2 * one / two_fits:.2f} times one; the shared fit has {two_fits / 2 / pair:.2f} of that"
    )
    print(
        f"a row: pass {1e6 * costs.forward_backward:.1f} us, update {1e6 * costs.update:.1f} us, "
        f"owners {1e6 * costs.owned:.2f} us; exchange: {per_second / 1e6:,.0f} MB/s; "
        f"gathering after an epoch: {1e3 * epoch:,.0f} ms"
    )


def show_plan(rows: int = 8192) -> None:
    """Print what the model says of more processes, and of 10^9 rows."""
    print("| processes | samples/s | times as fast | hours for 10^9 rows | MB/s taken by each |")
    print("|---|---|---|---|---|")
    alone = step_seconds(COSTS, rows, 1)
    for members in (1, 2, 4, 8, 16, 32):
        seconds = step_seconds(COSTS, rows, members)
        taken = wire_bytes(rows, members) / seconds / 1e6
        hours = 1e9 / (rows / seconds) / 3600
        print(
            f"| {members} | {rows / seconds:,.0f} | {alone / seconds:.1f} | {hours:.1f} | "
            f"{taken:,.0f} |"
        )


if __name__ == "__main__":
    main()
