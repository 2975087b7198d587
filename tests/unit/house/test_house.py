"""The walls between the packages, each tried in a fresh interpreter, and habits of the source."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = [
    path
    for folder in ("model", "training", "service", "ctr_afm", "artf", "benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
EXCEPTION = re.compile(r"noqa(: *[A-Z]+\d+(, *[A-Z]+\d+)*)?|type: *ignore(\[[\w, -]+\])?")

IMPORT_ALL = """
import importlib, pkgutil, sys
def load(name):
    package = importlib.import_module(name)
    for found in pkgutil.iter_modules(getattr(package, "__path__", []), name + "."):
        if found.name != {without!r}:
            load(found.name)
load({package!r})
print(*sorted({{name.split(".")[0] for name in sys.modules}}))
"""


def loaded_by(package: str, without: str = "none") -> set[str]:
    script = IMPORT_ALL.format(package=package, without=without)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_service_loads_no_torch_and_no_training() -> None:
    loaded = loaded_by("service")
    assert "service" in loaded
    assert not loaded & {"torch", "training", "polars", "onnxscript", "grpc", "artf"}


def test_training_loads_no_service() -> None:
    loaded = loaded_by("training", without="training.cluster")  # which needs Ray
    assert "torch" in loaded
    # not redis: Optuna, which can keep its trials there, loads it where it is installed
    assert not loaded & {"service", "fastapi", "uvicorn"}


def test_the_model_outside_its_nets_loads_no_torch_and_no_network() -> None:
    loaded = loaded_by("model", without="model.nets")
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "training", "service", "redis", "fastapi"}


def test_a_bundle_scores_frames_without_torch_and_the_service() -> None:
    loaded = loaded_by("ctr_afm.bundle")
    assert "polars" in loaded
    assert not loaded & {"torch", "fastapi", "sklearn", "pandas"}


@pytest.mark.parametrize("command", ["training.cli", "service.cli"])
def test_help_comes_without_the_heavy_imports(command: str) -> None:
    script = f"import sys, {command}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "onnxruntime", "polars"} & set(run.stdout.split())


def without_a_reason(source: str) -> list[int]:
    """The lines with an exception from a rule of ruff or mypy, and no word beside it."""
    return [
        found.start[0]
        for found in tokenize.generate_tokens(io.StringIO(source).readline)
        if found.type == tokenize.COMMENT
        and EXCEPTION.search(found.string)
        and not re.search(r"\w\w", EXCEPTION.sub("", found.string))
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_exception_from_a_rule_has_a_reason_beside_it(path: Path) -> None:
    assert without_a_reason(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "bare",
    [
        "# noqa",
        "# noqa: E501",
        "# noqa: E501, S101",
        "# type: ignore",
        "# type: ignore[arg-type]",
        "# type: ignore[misc]  # noqa: S101",
    ],
)
def test_an_exception_without_a_reason_is_found(bare: str) -> None:
    assert without_a_reason(f"x = 1\ny = 2  {bare}\n") == [2]
    assert without_a_reason(f"x = 1\ny = 2  {bare}  # as it is\n") == []


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name)
def test_a_file_of_tests_says_what_it_is_about(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
