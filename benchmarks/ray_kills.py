"""Fits on a Ray cluster of two local nodes that lose a part at a random moment: each must end by
itself with the weights of one process (docs/scale.md).

    python benchmarks/ray_kills.py --kills 20 --seed 1        after `make ray`, which installs Ray

Kill by kill, in turns: a process that works on the fit, the second node (another one follows), the
command (the same one is started again and finds the fit), and Ctrl-C of the command, after which
`--resume` goes on with another number of processes. Fits begin with 1, 2 or 3 of them.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ray.cluster_utils import Cluster

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))  # whose fits are the tests'
from ray_nodes import LONGEST, Home, Nodes, processes, until

LOST = ("member", "node", "command", "ctrl-c")
CORES = (1, 2)  # of the two nodes: three processes have room


class Kill(NamedTuple):
    """What is lost, so many seconds after the first epoch, of a fit of so many processes, which
    Ctrl-C's successor has `resumed` with.
    """

    lost: str
    after: float
    workers: int
    resumed: int


def drawn(kills: int, seconds: float, seed: int) -> list[Kill]:
    """Kills at random moments of a fit whose epochs take so many seconds."""
    rng = random.Random(seed)
    return [
        Kill(LOST[n % len(LOST)], rng.uniform(0, seconds), rng.randint(1, 3), rng.randint(1, 3))
        for n in range(kills)
    ]


def survived(nodes: Nodes, home: Home, out: str, kill: Kill) -> bool:
    """Whether the fit ended, with the weights of one process; says how it went."""
    began = time.monotonic()
    given = (out, "--ray", nodes.address, "--workers")
    asked = home.start(*given, str(kill.workers))
    until(lambda: " epoch " in home.said(out), lambda: home.said(out))
    time.sleep(kill.after)
    was_running = asked.poll() is None and not (home.path / out).exists()
    if kill.lost == "member":
        import psutil

        if working := processes("ray::Member"):
            psutil.Process(random.choice(working)).kill()
    elif kill.lost == "node":
        nodes.lose_the_second()
        nodes.add_a_second()
    elif kill.lost == "command":
        asked.kill()
        asked.wait()
        if not (home.path / out).exists():
            asked = home.start(*given, str(kill.workers))
    else:
        asked.send_signal(signal.SIGINT)
        asked.wait(LONGEST)
        if not (home.path / out).exists():
            asked = home.start(*given, str(kill.resumed), "--resume")
    asked.wait(LONGEST)
    until((home.path / out).exists, lambda: home.said(out))
    same = home.weights(out) == home.weights("alone")
    print(
        f"{out:8} {kill.lost:8} after {kill.after:5.1f} s, {kill.workers} -> "
        f"{kill.resumed if kill.lost == 'ctrl-c' else kill.workers} processes, "
        f"{'in the fit' if was_running else 'after its end'}: "
        f"{'same weights' if same else 'OTHER WEIGHTS'}, {time.monotonic() - began:.0f} s in all",
        flush=True,
    )
    return same


def main(argv: Sequence[str] | None = None) -> int:
    """Kill; the exit status is 1 where a fit had other weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the epochs of a fit")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        home = Home.made(Path(folder))
        head = {"num_cpus": CORES[0], "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        nodes = Nodes(cluster, cluster.add_node(num_cpus=CORES[1]), CORES[1])
        try:
            same = [
                survived(nodes, home, f"fit-{n}", kill)
                for n, kill in enumerate(drawn(options.kills, options.seconds, options.seed), 1)
            ]
        except subprocess.TimeoutExpired as error:
            raise SystemExit(f"a fit did not end: {error}") from None
        finally:
            cluster.shutdown()
    print(f"{sum(same)} of {len(same)} with the weights of one process")
    return int(not all(same))


if __name__ == "__main__":
    sys.exit(main())
