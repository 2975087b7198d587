"""A bundle in a notebook: it needs no Redis, scores frames and rows, shows itself, is pickled."""

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctr_afm.card import card
from ctr_afm.frames import Frame, Rows, is_rows, table_of
from model.bundle.opened import OpenedBundle
from model.encoding import Encoded
from model.explanation import Explainer
from model.manifest import Manifest
from model.schema import Schema
from model.values.values import Row
from training.data.log import encode
from training.data.read_log import read_log


class Bundle:
    """A verified bundle, which `fit` writes or `Bundle.open` reads.

    It scores as the service that it is published to does; with the nets afm and afm+ apart from the
    last bit of a float32, which depends on the rows that one is scored with.
    """

    def __init__(self, opened: OpenedBundle) -> None:
        self._opened = opened

    @classmethod
    def open(cls, directory: str | Path) -> "Bundle":
        """Open the directory of a bundle, and verify every file of it.

        Raises:
            BundleError: what is wrong, and with which file.
        """
        return cls(OpenedBundle.open(Path(directory)))

    @property
    def directory(self) -> Path:
        """Its directory; a temporary one, which goes with it, where `fit` was given none."""
        return self._opened.bundle.directory

    @property
    def manifest(self) -> Manifest:
        """What manifest.json says: net, task, metrics, settings of the fit, warnings."""
        return self._opened.bundle.manifest

    @property
    def version(self) -> str:
        """The version that it is published under."""
        return self.manifest.version

    @property
    def schema(self) -> Schema:
        """The fields, in the order of the net."""
        return self._opened.bundle.schema

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """The metrics of its fit: on the rows held out ("valid"), and on "test" if given."""
        return self.manifest.metrics

    def predict(self, rows: Frame | Rows) -> NDArray[np.float32]:
        """A probability for each of B rows, float32 [B]; a score where the task has none.

        Args:
            rows: a frame, or a list of rows as /predict takes them.

        Raises:
            DataError: a frame without a column of the schema, or with a value that a field cannot
                hold.
            InputError: such a value in a list of rows; names row and field.
        """
        return self._opened.scorer.predict(self._encoded(rows)[1]).predictions

    def explanations(self, rows: Frame | Rows, top: int | None) -> list[dict[str, Any]]:
        """See `ctr_afm.explain`."""
        raw, encoded = self._encoded(rows)
        return Explainer(self._opened.encoder, self._opened.scorer).explain(raw, encoded, top)

    def _encoded(self, rows: Frame | Rows) -> tuple[Sequence[Row], Encoded]:
        encoder = self._opened.encoder
        if is_rows(rows):
            return rows, encoder.encode(rows)
        log = read_log(table_of(rows), self.schema, labelled=False)
        return log.rows(), encode(encoder, log)

    def __repr__(self) -> str:
        manifest = self.manifest
        return f"<Bundle {manifest.version}: {manifest.net}, {len(self.schema.fields)} fields>"

    def _repr_html_(self) -> str:
        return card(self._opened)

    def __reduce__(self) -> tuple[Any, ...]:
        names = sorted(self.manifest.files)
        files = {name: (self.directory / name).read_bytes() for name in ["manifest.json", *names]}
        return _unpacked, (files,)


def temporary_directory() -> Path:
    """A directory that does not exist yet, in one that does."""
    return Path(tempfile.mkdtemp(prefix="ctr-afm-")) / "bundle"


def opened_there(directory: Path) -> Bundle:
    """A bundle in such a directory, which goes with it."""
    bundle = Bundle.open(directory)
    weakref.finalize(bundle, shutil.rmtree, directory.parent, ignore_errors=True)
    return bundle


def _unpacked(files: Mapping[str, bytes]) -> Bundle:
    directory = temporary_directory()
    for name, data in files.items():
        path = directory / name
        if not path.resolve().is_relative_to(directory.resolve()):
            raise ValueError(f"{name!r} is no file of a bundle")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return opened_there(directory)
