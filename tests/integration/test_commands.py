"""What the commands have in common: a bad seed is one line."""

import polars as pl
import pytest

from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main

SEEDED = {"fit": "--seed", "tune": "--seed", "compare": "--seeds", "simulate": "--seed"}


@pytest.fixture
def home(tmp_path):
    rows = [
        {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in tiny_rows(300)
    ]
    pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "log.csv")
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text('net = "lr"\n[fit]\nepochs = 1\n')
    return tmp_path


def seeded(home, command, seed):
    """The command's exit status, on the log of `home`."""
    files = ["--schema", home / "schema.toml", "--config", home / "fast.toml"]
    arguments = {
        "fit": [home / "log.csv", *files],
        "tune": [home / "log.csv", *files, "--trials", 1],
        "compare": [home / "log.csv", *files, "--nets", "lr"],
        "simulate": ["--rows", 100],
    }[command]
    return main([command, *map(str, arguments), SEEDED[command], seed, "--out", str(home / "out")])


@pytest.mark.parametrize("command", SEEDED)
@pytest.mark.parametrize(
    "seed", ["-1", "x", "1.5", "", str(2**63), pytest.param("9" * 5000, id="5000 digits")]
)
def test_a_bad_seed_is_one_line_and_leaves_nothing(home, capsys, command, seed):
    assert seeded(home, command, seed) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    wanted = "a whole number from 0 to 2^63 - 1"
    assert printed.err == f"afm-train: {SEEDED[command]} {seed!r}: {wanted}\n"
    assert not (home / "out").exists()


@pytest.mark.parametrize("command", SEEDED)
def test_the_largest_seed_is_one_like_the_others(home, command):
    assert seeded(home, command, str(2**63 - 1)) == 0
    assert (home / "out").exists()
