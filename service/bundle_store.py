"""Where published bundles are: one directory for each version, whole or not there."""

import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from model.bundle import MANIFEST, Bundle, new_bundle
from model.errors import BundleError
from service.file_locks import open_lock, take
from service.last_active import NOTE, remember, remembered

LOCK = ".lock"  # held by who copies
TURN_SECONDS = 120.0  # for the copy of another publisher
UNLISTED = ".unlisted."  # before the name of a version: nobody said yet that it is in Redis
UNLISTED_SECONDS = 3600.0  # until the copy of a publisher that died before it said so is swept


class BundleStore:
    """A directory with the bundles of all models, at MODEL/VERSION, and beside them a note of which
    was active last.

    The service needs only to read it, so the directory may be mounted read-only there. Another kind
    of store has the same methods.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def location(self, model: str, version: str) -> str:
        """The place of a version's bundle within the store."""
        return f"{model}/{version}"

    def open(self, model: str, version: str) -> Bundle:
        """A version's bundle, verified.

        Raises:
            BundleError: it is not there or not what was published.
        """
        bundle = Bundle.open(self._root / self.location(model, version))
        if bundle.version != version:
            raise BundleError(
                f"{bundle.directory / MANIFEST}: holds version {bundle.version!r}", "manifest"
            )
        return bundle

    def add(self, model: str, bundle: Bundle, listed: Collection[str] | None = None) -> Bundle:
        """Copy a bundle in, unless it is there; what a killed copy left is swept, and the versions
        that were copied long ago and are still not `listed`, where that is known.

        Raises:
            BundleError: it cannot be written, or what is there under its version is damaged.
        """
        target = self._root / self.location(model, bundle.version)
        with _turn(target.parent):
            _sweep(target.parent)
            if listed is not None:
                _sweep_unlisted(target.parent, {*listed, self.remembered(model)})
            if not target.exists():
                _copy(bundle, target)
        return self.open(model, bundle.version)

    def listed(self, model: str, version: str) -> None:
        """Note that a version is in Redis: its copy stays until somebody removes it."""
        (self._root / model / f"{UNLISTED}{version}").unlink(missing_ok=True)

    def remember(self, model: str, version: str) -> bool:
        """Note that a version is active; False where the store is read-only."""
        return remember(self._root / model, version)

    def remembered(self, model: str) -> str | None:
        """The version that was active last, as far as somebody noted it."""
        return remembered(self._root / model)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    # one publisher at a time: what lies about is then nobody's, and may be swept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open_lock(folder / LOCK)
    except OSError as error:
        raise BundleError(f"{folder}: cannot write there: {error.strerror}") from error
    try:
        if not take(handle, TURN_SECONDS):
            raise BundleError(f"{folder}: another publisher has been copying for a long time")
        yield
    finally:
        os.close(handle)


def _copy(bundle: Bundle, target: Path) -> None:
    mark = target.parent / f"{UNLISTED}{bundle.version}"
    try:
        mark.touch()
        _copy_files(bundle, target)
    except BaseException:
        mark.unlink(missing_ok=True)
        raise


def _copy_files(bundle: Bundle, target: Path) -> None:
    with new_bundle(target) as scratch:
        for name in (MANIFEST, *bundle.manifest.files):
            (scratch / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(bundle.directory / name, scratch / name)


def _sweep(folder: Path) -> None:
    for scratch in folder.glob(".*/"):
        shutil.rmtree(scratch, ignore_errors=True)
    for note in folder.glob(f"{NOTE}.*"):
        note.unlink(missing_ok=True)


def _sweep_unlisted(folder: Path, listed: Collection[str | None]) -> None:
    for mark in folder.glob(f"{UNLISTED}*"):
        version = mark.name.removeprefix(UNLISTED)
        if version in listed:
            mark.unlink(missing_ok=True)
        elif time.time() - mark.stat().st_mtime > UNLISTED_SECONDS:
            shutil.rmtree(folder / version, ignore_errors=True)
            mark.unlink(missing_ok=True)
