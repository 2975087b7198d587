"""The packed values of a model's versions as files of this machine: fetched from Redis once, by one
worker while the others wait, and mapped by all.

A file `.VERSION.packed` is whole. What a killed worker left of one, `.VERSION.part`, the next one
goes on from.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import structlog

from model.errors import BundleError
from model.files.file_locks import locked
from model.values.packed_ids import PackedIds
from model.vocabulary import PackedVocabulary
from service.store.publication import CHUNK_BYTES
from service.store.version_store import VersionStore

KEPT = 3  # files: of the live version, of the one before, and of one that is to be live
TENTHS = 10  # of a large file, at which progress is logged

log = structlog.get_logger()

Packed = Mapping[str, PackedVocabulary]


class PackedFiles:
    """The files of one model, in a folder of this machine that may be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def held(self, version: str) -> Packed:
        """The vocabularies of a version's large fields, of a file that is there; empty where there
        is none, or a damaged one.
        """
        packed = self._held(version)
        return {} if packed is None else _vocabularies(packed)

    def fetched(self, store: VersionStore, version: str) -> Packed:
        """The same as Redis has them, fetched where they are not here; empty where the version has
        no such fields.

        Raises:
            BundleError: what Redis has is damaged, or the folder cannot be written.
            StoreUnavailable, StoreError: see VersionStore.
        """
        digest = store.packed_digest(version)
        if digest is None:
            return {}
        packed = self._held(version)
        if packed is None or packed.digest != digest:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with locked(self._folder / ".packed.lock"):
                    packed = self._held(version)  # another worker may have fetched it
                    if packed is None or packed.digest != digest:
                        packed = self._fetch(store, version)
            except OSError as error:
                raise BundleError(
                    f"{self._folder}: cannot be written: {error.strerror}", "vocabulary"
                ) from error
        return _vocabularies(packed)

    def _held(self, version: str) -> PackedIds | None:
        path = self._path(version, "packed")
        try:
            packed = PackedIds.map(path)
            os.utime(path)  # those used last are kept
        except (OSError, ValueError, BundleError):
            return None
        return packed

    def _fetch(self, store: VersionStore, version: str) -> PackedIds:
        chunks, part = store.packed_chunks(version), self._path(version, "part")
        with part.open("ab") as file:
            begun = min(file.tell() // CHUNK_BYTES, chunks)
            file.truncate(begun * CHUNK_BYTES)
            for number in range(begun, chunks):
                file.write(store.packed_chunk(version, number))
                done = TENTHS * (number + 1) // chunks
                if done > TENTHS * number // chunks and chunks >= TENTHS:
                    log.info("fetching values", version=version, percent=100 * done // TENTHS)
            file.flush()
            os.fsync(file.fileno())
        try:
            packed = PackedIds.map(part)
        except (ValueError, BundleError) as error:
            part.unlink()
            raise BundleError(f"values of {version!r} in Redis: {error}", "vocabulary") from error
        part.replace(self._path(version, "packed"))
        self._sweep()
        return packed

    def _sweep(self) -> None:
        # under the lock: no other worker writes a part now
        whole = sorted(self._folder.glob(".*.packed"), key=lambda path: path.stat().st_mtime)
        for path in [*whole[:-KEPT], *self._folder.glob(".*.part")]:
            path.unlink(missing_ok=True)

    def _path(self, version: str, kind: str) -> Path:
        return self._folder / f".{version}.{kind}"


def _vocabularies(packed: PackedIds) -> Packed:
    return {name: PackedVocabulary((), packed, name) for name in packed.fields}
