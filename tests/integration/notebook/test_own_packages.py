"""Files beside a notebook that have the names of this distribution's packages."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.bundle.bundle import Bundle


def run(folder: Any, code: Any) -> Any:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    """With a module, a package and a folder without Python of the three names."""
    (tmp_path / "model.py").write_text("mine = 1\n")
    (tmp_path / "training").mkdir()
    (tmp_path / "training/__init__.py").write_text("")
    (tmp_path / "service").mkdir()
    (tmp_path / "service/notes.txt").write_text("")
    return tmp_path


def test_files_of_the_same_names_break_nothing_and_are_named(
    folder: Any, tiny_bundle: Bundle
) -> None:
    code = f"""
from ctr_afm import Bundle
found = Bundle.open({str(tiny_bundle.directory)!r}).predict([{{"device": "ios", "ad": "a1"}}])
import sys
print(len(found), "torch" in sys.modules)
from training.fit.fit import fit
from service.limits import InputLimits
"""
    done = run(folder, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "False"]
    said = [line for line in done.stderr.splitlines() if "UserWarning" in line]
    assert len(said) == 2
    for line, name in zip(said, ("model.py", "training/__init__.py"), strict=True):
        assert f"{folder / name} cannot be imported beside ctr_afm" in line


def test_module_that_was_imported_first_is_named_in_the_import_error(folder: Any) -> None:
    done = run(folder, "import model\nimport ctr_afm")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: ctr_afm has a package 'model', and {folder / 'model.py'} was imported "
        f"under that name: rename it, or import ctr_afm first"
    )


def test_nothing_is_said_where_there_is_no_such_file(tmp_path: Path) -> None:
    done = run(tmp_path, "import model.schema\nimport ctr_afm\nprint(ctr_afm.__all__)")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ClickClassifier" in done.stdout
