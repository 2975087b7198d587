"""What several processes gain that share a fit, each on a core of its own, and what a plan for many
machines follows from it (docs/scale.md).

    python benchmarks/many_processes.py                    two processes of one core against one
    python benchmarks/many_processes.py --values 1e7 --net ffm

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

import torch
from training_speed import FIELDS, K, Product, drawn, part

from training.fit.malloc import keep_freed_memory
from training.kernels import group

NUMBER = 4  # bytes of a float32


class Measured(NamedTuple):
    """Of a process, in seconds: `whole` a step, and of it the `update`, which each process does of
    all rows; `weights`: a digest.
    """

    whole: float
    update: float
    weights: str


class Costs(NamedTuple):
    """Of one core, in seconds a row: of the pass and of the update; and `bytes_per_second` that one
    process takes from others.
    """

    forward_backward: float
    update: float
    bytes_per_second: float


def wire_bytes(rows: int, members: int, fields: int = FIELDS, size: int = K) -> float:
    """What a process takes from the others in a step: the slopes of their rows' vectors and linear
    weights, and their scores.
    """
    return rows * (1 - 1 / members) * (fields * (size + 1) + 1) * NUMBER


def step_seconds(costs: Costs, rows: int, members: int) -> float:
    """What a step of `rows` takes that so many processes share, each on one core."""
    taken = wire_bytes(rows, members) / costs.bytes_per_second
    return rows * (costs.forward_backward / members + costs.update) + taken


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
    found = hashlib.sha256()
    for parameter in product.net.state_dict().values():
        found.update(parameter.numpy().data)
    return Measured(statistics.median(whole[1:]), statistics.median(seconds[1:]), found.hexdigest())


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
    parser.add_argument("--member", nargs=3, help=argparse.SUPPRESS)
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    if options.member:
        first, number, members = options.member
        sys.stdout.write(json.dumps(of_one(options, first, int(number), int(members))))
        return
    alone, two = [], []
    for _ in range(options.rounds):
        alone.append(of_all(1, given))
        two.append(of_all(2, given))
        if alone[-1].weights != two[-1].weights:
            raise RuntimeError("two processes end with other weights than one")
    one, pair = (statistics.median(each.whole for each in runs) for runs in (alone, two))
    update = statistics.median(each.update for each in alone)
    both = statistics.median(each.update for each in two)
    rows = options.batch
    taken = pair - (one - update) / 2 - both
    costs = Costs((one - update) / rows, both / rows, wire_bytes(rows, 2) / max(taken, 1e-9))
    print(
        "| net | values | processes | samples/s | times as fast | update, ms | bytes taken a step |"
    )
    print("|---|---|---|---|---|---|---|")
    for members, seconds, updated in ((1, one, update), (2, pair, both)):
        print(
            f"| {options.net} | {options.values:.0e} | {members} | {rows / seconds:,.0f} | "
            f"{one / seconds:.2f} | {1000 * updated:.0f} | {wire_bytes(rows, members):,.0f} |"
        )
    print(f"a row: pass {1e6 * costs.forward_backward:.1f} us, update {1e6 * costs.update:.1f} us")
    print(f"exchange: {costs.bytes_per_second / 1e6:,.0f} MB/s")


if __name__ == "__main__":
    main()
