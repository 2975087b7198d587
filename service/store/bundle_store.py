"""Where published bundles are: one directory for each version, whole or not there."""

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model.bundle.bundle import NONE_KNOWN, Bundle, Vocabularies
from model.bundle.files import MANIFEST
from model.bundle.opened import OpenedBundle
from model.bundle.write import new_bundle
from model.errors import BundleError
from model.files.file_locks import open_folder_lock, open_lock, take
from service.store.active_notes import LIVE, NOTE, ActiveNote, read_notes, write_note

LOCK = ".lock"  # held by who copies
TURN_SECONDS = 120.0  # for the copy of another publisher
HELD_SECONDS = 60.0  # by a worker that loads and judges a version
UNLISTED = ".unlisted."  # before the name of a version: it is not known to be in Redis yet
UNLISTED_SECONDS = 3600.0  # until the copy of a publisher that died before it said so is swept


class BundleStore:
    """A directory with the bundles of all models, at MODEL/VERSION, and beside them notes of which
    were active last.

    The service needs only to read it, so the directory may be mounted read-only there; it notes
    what it finds in `own` then. Another kind of store has the same methods.
    """

    def __init__(self, root: Path, own: Path | None = None) -> None:
        self._root = root
        self._own = own

    def location(self, model: str, version: str) -> str:
        """The place of a version's bundle within the store."""
        return f"{model}/{version}"

    def open(self, model: str, version: str, known: Vocabularies = NONE_KNOWN) -> OpenedBundle:
        """A version's bundle, verified, with what each field learnt; vocabularies that are `known`
        are not parsed.

        Raises:
            BundleError: it is not there or not what was published.
        """
        opened = OpenedBundle.open(self._root / self.location(model, version), known)
        _check_version(opened.bundle, version)
        return opened

    def own_folder(self, model: str) -> Path:
        """Where this machine may keep files of its own beside the notes of a model."""
        return (self._own or self._root) / model

    @contextmanager
    def turn(self, model: str, version: str, rest: Callable[[float], None]) -> Iterator[None]:
        """Hold a version while no other worker of this machine does, or continue when another one
        has held it for long; `rest` is called with seconds while it waits.
        """
        try:
            handle = open_folder_lock(self._root / self.location(model, version))
        except OSError:  # who opens it will say what is wrong
            yield
            return
        try:
            deadline = time.monotonic() + HELD_SECONDS
            while not take(handle, 0) and time.monotonic() < deadline:
                rest(0.02)
            yield
        finally:
            os.close(handle)

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
                _sweep_unlisted(
                    target.parent, {*listed, *(one.version for one in self.read_notes(model))}
                )
            if not target.exists():
                _copy(bundle, target)
        stored = Bundle.open_copy(target, bundle)
        _check_version(stored, bundle.version)
        return stored

    def listed(self, model: str, version: str) -> None:
        """Note that a version is in Redis: its copy stays until it is removed."""
        (self._root / model / f"{UNLISTED}{version}").unlink(missing_ok=True)

    def remove(self, model: str, version: str) -> None:
        """Remove a version's bundle: a reader sees all of it or nothing.

        Raises:
            BundleError: the directory cannot be written.
        """
        target = self._root / self.location(model, version)
        with _turn(target.parent):
            try:
                # a name that the next copy sweeps, should this be killed
                gone = target.rename(target.parent / f".{version}.removed")
            except FileNotFoundError:
                return
            except OSError as error:
                raise BundleError(f"{target}: cannot be removed: {error.strerror}") from error
            shutil.rmtree(gone, ignore_errors=True)

    def write_note(self, model: str, version: str, outcome: str = "", reason: str = "") -> bool:
        """Note that a version is active, and with which outcome, as `active_notes` keeps it;
        False where nothing can be written.
        """
        if write_note(self._root / model, version, outcome, reason):
            return True
        if self._own is None:
            return False
        folder = self._own / model
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        return write_note(folder, version, outcome, reason)

    def read_notes(self, model: str) -> list[ActiveNote]:
        """The versions that were active, as far as it was noted: those that were live before
        those of which that is not known, the newest of each first.
        """
        own = [] if self._own is None else read_notes(self._own / model)
        known = {one.version for one in own}
        both = own + [one for one in read_notes(self._root / model) if one.version not in known]
        return sorted(both, key=lambda one: one.outcome != LIVE)


def _check_version(bundle: Bundle, version: str) -> None:
    if bundle.version != version:
        raise BundleError(
            f"{bundle.directory / MANIFEST}: holds version {bundle.version!r}", "manifest"
        )


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    # one publisher at a time: no other one uses what is left behind then, and it may be swept
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


def _sweep_unlisted(folder: Path, listed: Collection[str]) -> None:
    for mark in folder.glob(f"{UNLISTED}*"):
        version = mark.name.removeprefix(UNLISTED)
        if version in listed:
            mark.unlink(missing_ok=True)
        elif time.time() - mark.stat().st_mtime > UNLISTED_SECONDS:
            shutil.rmtree(folder / version, ignore_errors=True)
            mark.unlink(missing_ok=True)
