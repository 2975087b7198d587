"""Self-made certificates for 127.0.0.1."""

import shutil
import subprocess
from pathlib import Path

import pytest


def certificate(folder: Path, name: str = "own") -> tuple[Path, Path]:
    """A certificate and its key, as files."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    run = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    named = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    out = ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run([*run.split(), *named, *out], check=True, capture_output=True)
    return paths
