"""A bundle that a test may damage."""

import shutil
from pathlib import Path

import pytest

from model.bundle.bundle import Bundle


@pytest.fixture
def copy(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """Of a whole bundle, to be damaged."""
    target = tmp_path / "copy"
    shutil.copytree(tiny_bundle.directory, target)
    return target
