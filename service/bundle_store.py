"""Where published bundles are: one directory for each version, whole or not there."""

import fcntl
import os
import shutil
from pathlib import Path

from model.bundle import MANIFEST, Bundle, new_bundle
from model.errors import BundleError


class BundleStore:
    """A directory with the bundles of all models, at MODEL/VERSION.

    The service only reads it, so the directory may be mounted read-only there. Another kind of
    store has the same three methods.
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
            raise BundleError(f"{bundle.directory / MANIFEST}: holds version {bundle.version!r}")
        return bundle

    def add(self, model: str, bundle: Bundle) -> Bundle:
        """Copy a bundle in, unless it is there; what a killed copy left is swept.

        Raises:
            BundleError: it cannot be written, or what is there under its version is damaged.
        """
        target = self._root / self.location(model, bundle.version)
        _sweep(target.parent)
        if not target.exists():
            try:
                _copy(bundle, target)
            except BundleError:
                if not target.exists():  # another publisher of the same version was first
                    raise
        return self.open(model, bundle.version)


def _copy(bundle: Bundle, target: Path) -> None:
    with new_bundle(target) as scratch:
        handle = os.open(scratch, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)  # tells a sweeper that this one is not abandoned
            for name in (MANIFEST, *bundle.manifest.files):
                (scratch / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(bundle.directory / name, scratch / name)
        finally:
            os.close(handle)


def _sweep(folder: Path) -> None:
    for scratch in folder.glob(".*/") if folder.is_dir() else ():
        handle = os.open(scratch, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(scratch, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)
