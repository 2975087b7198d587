"""Damage to the files of a bundle, and how it is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from model.bundle.bundle import Bundle
from model.errors import BundleError


def reseal(directory: Path, **changes: Any) -> None:
    """Make the manifest agree with the files again, so that only the deeper checks can object."""
    path = directory / "manifest.json"
    body = json.loads(path.read_text())
    body["files"] = {
        str(file.relative_to(directory)): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "size": file.stat().st_size,
        }
        for file in directory.rglob("*")
        if file.is_file() and file != path
    }
    path.write_text(json.dumps(body | changes))


def refused(directory: Path, says: str) -> None:
    with pytest.raises(BundleError, match=says) as caught:
        Bundle.open(directory)
    assert "\n" not in str(caught.value)
