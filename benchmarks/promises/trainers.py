"""`afm-train fit --resume` killed by SIGKILL at 30 random points, five on the way to each bundle;
and a fit whose disk is full.
"""

import random
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE

from processes.product import command
from processes.servers import clean_environment

from model.bundle.bundle import Bundle
from model.bundle.files import WEIGHTS
from training.simulate.simulation import write_simulation

KILLS, ROWS, EVERY = 30, 20_000, 5  # kills on the way to one bundle


def measure() -> list[tuple[str, str, str]]:
    """Kill, continue, compare the weights."""
    with tempfile.TemporaryDirectory(prefix="afm-trainers-") as folder:
        return _measure(Path(folder))


def _measure(home: Path) -> list[tuple[str, str, str]]:
    write_simulation(home / "log", ROWS, seed=1)
    fit = ["fit", str(home / "log/train.parquet"), "--schema", str(home / "log/schema.toml")]
    how = ["--net", "afm+", "--checkpoint-seconds", "0"]

    def trainer(out: Path, *more: str, disk: int | None = None) -> "subprocess.Popen[bytes]":
        def limited() -> None:
            if disk is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))

        run = [*command("afm-train"), *fit, *how, "--out", str(out), *more]
        return subprocess.Popen(
            run, env=clean_environment(), preexec_fn=limited, stdout=DEVNULL, stderr=PIPE
        )

    begun = time.monotonic()
    _end(trainer(home / "whole"))
    seconds = time.monotonic() - begun
    expected = (home / "whole" / WEIGHTS).read_bytes()
    resumed = bundles = 0
    out = home / "killed"
    while resumed < KILLS or out.exists():
        if out.exists():
            assert (out / WEIGHTS).read_bytes() == expected
            assert {path.name for path in home.glob("*killed*")} == {"killed"}, "something is left"
            out.rename(home / f"done{bundles}")
            bundles += 1
            continue
        for _ in range(EVERY):
            doomed = trainer(out, "--resume")
            time.sleep(random.uniform(0.1, 0.8) * seconds)
            doomed.kill()
            doomed.communicate()
            resumed += 1
            if out.exists():
                break
        if not out.exists():
            _end(trainer(out, "--resume"))

    size = (home / "whole" / WEIGHTS).stat().st_size
    full = trainer(home / "full", disk=size // 2)
    _, said = full.communicate()
    assert full.returncode == 2, said
    line = said.decode().splitlines()[-1].replace(f"{home}/", "")
    assert Bundle.open(home / "whole").manifest.version
    assert not list(home.glob("*full*")), "something is left"
    return [
        (
            f"kill -9 of fit at {resumed} random points",
            f"{bundles} bundles, all bit for bit",
            "the weights of a fit that was not killed, bit for bit",
        ),
        (
            "disk full",
            f"`{line}`; nothing left, the old bundle whole",
            "a clear error, the old bundle whole",
        ),
    ]


def _end(process: "subprocess.Popen[bytes]") -> None:
    _, said = process.communicate()
    assert process.returncode == 0, said
