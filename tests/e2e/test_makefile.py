"""The Makefile as a stranger meets it: its help, and what it says when something is missing."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *args], cwd=cwd, env=clean, capture_output=True, text=True)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A directory with this project's Makefile that counts as installed."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.installed").touch()
    return tmp_path


def commands(recipe: str) -> list[str]:
    """The project's own commands that a dry run (`make -n`) would run, in their order."""
    return re.findall(r"\.venv/bin/(afm-\w+ \w+)", recipe)


def test_make_alone_lists_every_target_with_its_help(house: Path) -> None:
    listed = re.findall(r"^  make (\w+) +\S", make(cwd=house).stdout, flags=re.MULTILINE)
    assert listed[:4] == ["help", "install", "run", "test"]
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert listed == re.findall(r"^([a-z0-9]+):.*## ", text, flags=re.MULTILINE)


def test_run_goes_from_example_data_to_a_service(house: Path) -> None:
    printed = make("-n", "run", cwd=house).stdout
    assert commands(printed) == [
        "afm-train simulate",
        "afm-train fit",
        "afm-serve publish",
        "afm-serve run",
    ]
    assert "--host 127.0.0.1 --port 8000" in printed


def test_what_is_fitted_is_not_fitted_again(house: Path) -> None:
    for made in ("example/schema.toml", "fitted/example.how", "fitted/example/manifest.json"):
        path = house / ".afm" / made
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    how = ".afm/example/schema.toml --test .afm/example/test.parquet\n"
    (house / ".afm/fitted/example.how").write_text(how)
    os.utime(house / ".afm/fitted/example/manifest.json", (4e9, 4e9))
    said = make("run", cwd=house)
    assert "afm-train" not in said.stdout + said.stderr
    assert "afm-serve" in said.stderr  # which is not there, and would have been next


def test_a_log_of_ones_own_takes_the_place_of_the_example(house: Path) -> None:
    (house / "log.csv").touch()
    (house / "schema.toml").touch()
    given = ("DATA=log.csv", "SCHEMA=schema.toml", "FIT=--net fm")
    printed = make("-n", "run", *given, cwd=house).stdout
    assert "afm-train fit log.csv --schema schema.toml" in printed
    assert "--net fm" in printed
    assert "simulate" not in printed


def test_a_log_without_a_schema_is_told_how_to_draft_one(house: Path) -> None:
    (house / "log.csv").touch()
    said = make("run", "DATA=log.csv", cwd=house)
    assert said.returncode == 2
    assert "afm-train schema log.csv --label NAME --out schema.toml" in said.stderr


def test_a_log_that_is_not_there_is_named(house: Path) -> None:
    said = make("run", "DATA=clicks.csv", "SCHEMA=schema.toml", cwd=house)
    assert said.returncode == 2
    assert "DATA=clicks.csv: no such file" in said.stderr


def test_a_python_that_is_too_old_is_refused_before_anything_is_made(house: Path) -> None:
    old = house / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")  # what the version check does on Python 3.9
    old.chmod(0o755)
    shutil.rmtree(house / ".venv")
    said = make("install", f"PYTHON={old}", cwd=house)
    assert said.returncode == 2
    assert "Python 3.11, 3.12 or 3.13 is needed" in said.stderr
    assert not (house / ".venv").exists()


def test_a_key_without_a_folder_for_it_and_a_number_of_replicas_that_is_none_are_refused() -> None:
    for wrong in ((), ("AFM_API_KEYS=no-such",)):
        said = make("key", "NAME=shop", *wrong, cwd=ROOT)
        assert said.returncode == 2
        assert "is to be a folder, as in: make key AFM_API_KEYS=./keys NAME=shop" in said.stderr
    for replicas in ("two", "0", "17"):
        said = make("-n", "up", f"SCALE={replicas}", cwd=ROOT)
        assert f"SCALE={replicas}: 1 to 16 replicas" in said.stderr


def test_a_restore_from_what_is_no_backup_begins_nothing(tmp_path: Path) -> None:
    (tmp_path / "redis.tar").touch()
    said = make("restore", f"FROM={tmp_path}", cwd=ROOT)
    assert said.returncode == 2
    assert f"{tmp_path}/bundles.tar cannot be read" in said.stderr
