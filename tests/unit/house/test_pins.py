"""constraints.txt against pyproject.toml and against what is installed."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LINES = (ROOT / "constraints.txt").read_text().splitlines()
PINS = [line for line in LINES if not line.startswith("#")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    """Name and version of each pin that holds on every Python."""
    always = (pin.split("==") for pin in PINS if ";" not in pin)
    return {normal(name): version for name, version in always}


def test_every_direct_dependency_has_a_pin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [need for needs in project["optional-dependencies"].values() for need in needs]
    names = {re.split(r"[\[<>=~! ;]", need)[0] for need in [*project["dependencies"], *extras]}
    assert {normal(name) for name in names} <= pinned().keys()


@pytest.mark.parametrize("pin", PINS)
def test_a_pin_is_one_exact_public_version(pin: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*( ; \S.*)?", pin)


def test_what_is_installed_is_what_is_pinned() -> None:
    # A local part of a version ("+cpu") names a build of it, not another version.
    installed = {normal(d.name): d.version.split("+")[0] for d in metadata.distributions()}
    wanted = {name: version for name, version in pinned().items() if name in installed}
    build_only = {"setuptools", "hatchling"}  # whatever made the environment brings its own
    assert {name: installed[name] for name in wanted.keys() - build_only} == {
        name: version for name, version in wanted.items() if name not in build_only
    }
