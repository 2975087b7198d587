"""Writes a bundle: a scratch directory that becomes the bundle in one step, and its manifest."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.bundle.files import MANIFEST, digest
from model.errors import BundleError
from model.files.file_locks import open_folder_lock, take, take_shared
from model.manifest import FileRecord, Manifest


@contextmanager
def new_bundle(out: Path) -> Iterator[Path]:
    """A scratch directory beside `out`, which becomes `out` in one step when the block ends well,
    and is gone when it does not. What killed writers of `out` left is swept.

    Raises:
        BundleError: `out` exists, or its parent cannot be written.
    """
    check_absent(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _sweep(out)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        handle = open_folder_lock(scratch)
        take_shared(handle)  # so that a sweeper does not take this one for abandoned
    except OSError as error:
        raise BundleError(f"{out}: cannot write there: {error.strerror}") from error
    try:
        yield scratch
        scratch.chmod(0o755)  # mkdtemp's is only for the owner
        for path in (*(p for p in scratch.rglob("*") if p.is_file()), scratch):
            _sync(path)
        scratch.rename(out)
        _sync(out.parent)
    except OSError as error:
        raise BundleError(f"{out}: cannot write the bundle: {error.strerror}") from error
    finally:
        os.close(handle)
        shutil.rmtree(scratch, ignore_errors=True)


def check_absent(out: Path) -> None:
    """Raises:
    BundleError: `out` exists.
    """
    if out.exists():
        raise BundleError(f"{out}: exists already; choose another directory or remove it")


def _sweep(out: Path) -> None:
    for scratch in out.parent.glob(f".{out.name}.*/"):
        handle = open_folder_lock(scratch)
        try:
            if take(handle, 0):
                shutil.rmtree(scratch, ignore_errors=True)
        finally:
            os.close(handle)


def write_manifest(directory: Path, created: str, **facts: Any) -> Manifest:
    """Seal a bundle whose other files are all written: digest them, name the version by date and
    content, write the manifest. `facts` are the manifest's other keys.
    """
    files = {
        str(path.relative_to(directory)): FileRecord(sha256=digest(path), size=path.stat().st_size)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    content = json.dumps({name: record.sha256 for name, record in files.items()}).encode()
    stamp = re.sub(r"[^0-9]", "", created)[:14]
    version = f"{stamp}-{hashlib.sha256(content).hexdigest()[:8]}"
    manifest = Manifest(version=version, created=created, files=files, **facts)
    (directory / MANIFEST).write_bytes(manifest.dumps())
    return manifest


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
