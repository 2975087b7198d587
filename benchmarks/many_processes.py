"""What several processes gain that share a fit, each on a core of its own, and what a plan for many
machines follows from it (docs/scale.md).

    python benchmarks/many_processes.py                    two processes of one core against one
    python benchmarks/many_processes.py --values 1e7 --net ffm
    python benchmarks/many_processes.py --plan         the tables of docs/scale.md, from COSTS

Both run in turns, and end with the same weights, which is checked. F = 39 fields, K = T = 16.
"""

import argparse
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import torch
from training_speed import FIELDS, K, Product, drawn, part

from training.fit.malloc import keep_freed_memory
from training.kernels import group

NUMBER = 4  # bytes of a float32


class Measured(NamedTuple):
    """Of a process, in seconds: `whole` a step, of it the `update`, which each process does of all
    rows, and an `exchange` of slopes by itself; `weights`: a digest.
    """

    whole: float
    update: float
    exchange: float
    weights: str


class Costs(NamedTuple):
    """Of one core, in seconds a row: of the pass and of the update; and `bytes_per_second` that one
    process takes from others.
    """

    forward_backward: float
    update: float
    bytes_per_second: float


# AFM at a million values, from a run of this script; see benchmarks/README.md
COSTS = Costs(forward_backward=54e-6, update=14.9e-6, bytes_per_second=1.0e9)

# at a million values: rows of the tables that a batch of 8,192 uses, for each of its own rows; and
# seconds to copy one of them out of a table, and into another (on a busy machine)
TOUCHED = 273_600 / 8192
COPIED_OUT, COPIED_IN = 0.045e-6, 0.052e-6


def wire_bytes(rows: int, members: int, fields: int = FIELDS, size: int = K) -> float:
    """What a process takes from the others in a step: the slopes of their rows' vectors and linear
    weights, and their scores.
    """
    return rows * (1 - 1 / members) * (fields * (size + 1) + 1) * NUMBER


def step_seconds(costs: Costs, rows: int, members: int) -> float:
    """What a step of `rows` takes that so many processes share, each on one core."""
    taken = wire_bytes(rows, members) / costs.bytes_per_second
    return rows * (costs.forward_backward / members + costs.update) + taken


def step_seconds_of_owned_rows(costs: Costs, rows: int, members: int, moments: bool) -> float:
    """The same if each process updated a part of the tables' rows and sent them to the others, with
    Adam's two `moments` of them or without.
    """
    if members == 1:
        return step_seconds(costs, rows, members)
    copies = 3 if moments else 1
    touched = rows * TOUCHED
    taken = copies * touched * (1 - 1 / members) * (K + 1) * NUMBER / costs.bytes_per_second
    copied = copies * touched * (COPIED_OUT / members + COPIED_IN * (1 - 1 / members))
    step = rows * (costs.forward_backward + costs.update) / members
    return step + wire_bytes(rows, members) / costs.bytes_per_second + taken + copied


def of_one(options: argparse.Namespace, first: str, number: int, members: int) -> Measured:
    """One process: the median of its steps, without the first, which compiles."""
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[number]})
    keep_freed_memory()
    rows, sizes = drawn(int(options.values), options.batch * (options.batches + 1))
    product = Product(options.net, rows, sum(sizes), options.batch, 0.0).ready(after=True)
    step, seconds = product.optimiser.step, []

    def timed() -> None:
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)

    product.optimiser.step = timed  # type: ignore[method-assign, assignment]  # a stopwatch
    whole = []
    with group.joined(first, number, members, timedelta(seconds=300)):
        for batch in range(options.batches + 1):
            some = part(rows, batch * options.batch, (batch + 1) * options.batch)
            began = time.perf_counter()
            product.epoch(some)
            whole.append(time.perf_counter() - began)
        exchanged = _exchange_seconds(options.batch, members)
    found = hashlib.sha256()
    for parameter in product.net.state_dict().values():
        found.update(parameter.numpy().data)
    steps, updates = statistics.median(whole[1:]), statistics.median(seconds[1:])
    return Measured(steps, updates, exchanged, found.hexdigest())


def _exchange_seconds(rows: int, members: int) -> float:
    slopes, seconds = np.zeros((rows, FIELDS, K + 1), np.float32), []
    for _ in range(5):
        began = time.perf_counter()
        group.complete([slopes], [rows * part // members for part in range(members + 1)])
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def of_all(members: int, given: Sequence[str]) -> Measured:
    """So many processes: the slowest of them.

    Raises:
        RuntimeError: they end with different weights.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        first = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    running = [
        subprocess.Popen(
            [sys.executable, __file__, *given, "--member", first, str(number), str(members)],
            stdout=subprocess.PIPE,
        )
        for number in range(members)
    ]
    found = [Measured(*json.loads(one.communicate()[0])) for one in running]
    if len({one.weights for one in found}) > 1:
        raise RuntimeError("the processes of a group end with different weights")
    return max(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--net", default="afm")
    parser.add_argument("--values", type=float, default=1e6)
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--member", nargs=3, help=argparse.SUPPRESS)
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    if options.member:
        first, number, members = options.member
        sys.stdout.write(json.dumps(of_one(options, first, int(number), int(members))))
        return
    if options.plan:
        show_plan()
        return
    alone, two = [], []
    for _ in range(options.rounds):
        alone.append(of_all(1, given))
        two.append(of_all(2, given))
        if alone[-1].weights != two[-1].weights:
            raise RuntimeError("two processes end with other weights than one")
    one, pair = (statistics.median(each.whole for each in runs) for runs in (alone, two))
    update = statistics.median(each.update for each in alone)
    exchange = statistics.median(each.exchange for each in two)
    rows = options.batch
    per_second = wire_bytes(rows, 2) / exchange
    costs = Costs((one - update) / rows, update / rows, per_second)
    print("| net | values | processes | samples/s | times as fast | the plan says | bytes taken |")
    print("|---|---|---|---|---|---|---|")
    for members, seconds in ((1, one), (2, pair)):
        said = one / step_seconds(costs, rows, members)
        print(
            f"| {options.net} | {options.values:.0e} | {members} | {rows / seconds:,.0f} | "
            f"{one / seconds:.2f} | {said:.2f} | {wire_bytes(rows, members):,.0f} |"
        )
    print(
        f"a row: pass {1e6 * costs.forward_backward:.1f} us, update {1e6 * costs.update:.1f} us; "
        f"exchange: {per_second / 1e6:,.0f} MB/s"
    )


def show_plan(rows: int = 8192) -> None:
    """Print what the model says of more processes, and of 10^9 rows."""
    print(
        "| processes | samples/s | times as fast | hours for 10^9 rows | MB/s taken by each | "
        "times as fast with rows owned | with moments sent too |"
    )
    print("|---|---|---|---|---|---|---|")
    alone = step_seconds(COSTS, rows, 1)
    for members in (1, 2, 4, 8, 16, 32):
        seconds = step_seconds(COSTS, rows, members)
        taken = wire_bytes(rows, members) / seconds / 1e6
        hours = 1e9 / (rows / seconds) / 3600
        owned, sent = (
            alone / step_seconds_of_owned_rows(COSTS, rows, members, moments)
            for moments in (False, True)
        )
        print(
            f"| {members} | {rows / seconds:,.0f} | {alone / seconds:.1f} | {hours:.1f} | "
            f"{taken:,.0f} | {owned:.1f} | {sent:.1f} |"
        )


if __name__ == "__main__":
    main()
