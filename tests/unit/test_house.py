"""The walls between the packages, each tried in a fresh interpreter."""

import subprocess
import sys

import pytest

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


def loaded_by(package, without="none"):
    script = IMPORT_ALL.format(package=package, without=without)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_service_loads_no_torch_and_no_training():
    loaded = loaded_by("service")
    assert "service" in loaded
    assert not loaded & {"torch", "training", "polars", "onnxscript"}


def test_training_loads_no_service():
    loaded = loaded_by("training")
    assert "torch" in loaded
    # not redis: Optuna, which can keep its trials there, loads it where it is installed
    assert not loaded & {"service", "fastapi", "uvicorn"}


def test_the_model_outside_its_nets_loads_no_torch_and_no_network():
    loaded = loaded_by("model", without="model.nets")
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "training", "service", "redis", "fastapi"}


@pytest.mark.parametrize("command", ["training.cli", "service.cli"])
def test_help_comes_without_the_heavy_imports(command):
    script = f"import sys, {command}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "onnxruntime", "polars"} & set(run.stdout.split())
