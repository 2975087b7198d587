"""The product's commands, as a user runs them."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from model.bundle.bundle import Bundle


def command(name: str) -> list[str]:
    """A command of this environment."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise SystemExit(f"{name} is not beside {sys.executable}: make install")
    return [found]


def run(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What it prints; in our environment where no other one is given."""
    return subprocess.run(
        [*command(name), *arguments],
        check=True,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout


def fit(home: Path, *options: str, out: str = "bundle", log: str = "log.parquet") -> Bundle:
    """A bundle of the log, schema.toml and config.toml in `home`, beside them."""
    rows, schema, config = (str(home / name) for name in (log, "schema.toml", "config.toml"))
    files = (rows, "--schema", schema, "--config", config, "--out", str(home / out))
    run("afm-train", "fit", *files, *options)
    return Bundle.open(home / out)
