"""The bundle: one directory that holds all of a model version, whole or not there.

    manifest.json           what it is, and sha256 and size of every other file
    predict.onnx            ids, values -> probability, logit
    ads.onnx                an ad's ids, values -> what ranking needs of it whatever the context
    rank.onnx               the scores of one context with its ads, whose fields come apart; both
                            where the schema has both roles
    explain.onnx            ids, values -> the terms of the logit
    weights.bin             the parameters of all graphs, float32, each on a page of its own
    schema.toml             the fields, in the order of the slots
    vocabulary/FIELD.json   what each field learnt; the name percent-encoded
    golden.jsonl            raw requests with the probabilities they must get
    validation.jsonl        some of the rows held out, with labels, for the gate; may be left out
    report.html             how good it is, for people

Reading trusts nothing: no file that the manifest does not name, no link, no digest that differs, no
path that leads outside, no graph that reads any file but weights.bin. There is no pickle in it.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from model.bundle.golden import GoldenCase
from model.bundle.graph_files import check_graph
from model.bundle.labelled_rows import LabelledRows
from model.encoding import Encoder
from model.errors import BundleError, SchemaError
from model.manifest import FileRecord, Manifest
from model.schema import Schema
from model.scorer import Scorer
from model.vocabulary import FieldVocabulary, from_bytes

MANIFEST = "manifest.json"
SCHEMA = "schema.toml"
WEIGHTS = "weights.bin"
GOLDEN = "golden.jsonl"
PREDICT = "predict.onnx"
ADS = "ads.onnx"
RANK = "rank.onnx"
EXPLAIN = "explain.onnx"
VALIDATION = "validation.jsonl"
REPORT = "report.html"

_REQUIRED = {PREDICT, EXPLAIN, WEIGHTS, SCHEMA, GOLDEN}
_ALLOWED = re.compile(
    r"(predict|ads|rank|explain)\.onnx|weights\.bin|schema\.toml|golden\.jsonl|"
    r"validation\.jsonl|report\.html|vocabulary/[^/]+\.json"
)


def vocabulary_file(field: str) -> str:
    """The path within a bundle of a field's vocabulary."""
    # a dot at the start would hide the file, two would lead outside
    return f"vocabulary/{quote(field, safe='').replace('.', '%2E')}.json"


@dataclass(frozen=True)
class Bundle:
    """A bundle that was verified when it was opened."""

    directory: Path
    manifest: Manifest
    schema: Schema

    @property
    def version(self) -> str:
        """The version that the bundle is published under."""
        return self.manifest.version

    @classmethod
    def open(cls, directory: Path) -> "Bundle":
        """Open a bundle and verify every file of it.

        Raises:
            BundleError: what is wrong, and with which file.
        """
        if not directory.is_dir():
            raise BundleError(f"{directory}: no bundle there: not a directory", "missing")
        path = directory / MANIFEST
        manifest = Manifest.parse(_read_plain(path), str(path))
        _check_names(directory, manifest)
        for name, record in manifest.files.items():
            _check_file(directory / name, record)
        try:
            schema = Schema.load(directory / SCHEMA)
        except SchemaError as error:
            raise BundleError(str(error), "schema") from error
        if schema.digest != manifest.schema_digest:
            raise BundleError(
                f"{directory / SCHEMA}: not the schema that the manifest names", "schema"
            )
        bundle = cls(directory, manifest, schema)
        bundle._check_contents()
        return bundle

    def _check_contents(self) -> None:
        of_fields = {vocabulary_file(name): name for name in self.schema.fields}
        in_manifest = {name for name in self.manifest.files if name.startswith("vocabulary/")}
        for name in sorted(of_fields.keys() ^ in_manifest):
            what = "lacks" if name in of_fields else "has"
            raise BundleError(
                f"{self.directory / MANIFEST}: {what} {name}, "
                f"{'a' if name in of_fields else 'no'} field of the schema",
                "fields",
            )
        vocabularies = self.vocabularies()
        rows = sum(vocabulary.size for vocabulary in vocabularies.values())
        dimensions = self.manifest.dimensions
        if (rows, len(self.schema.slots)) != (dimensions.rows, dimensions.slots):
            raise BundleError(
                f"{self.directory / MANIFEST}: says {dimensions.rows} rows and {dimensions.slots} "
                f"slots, schema and vocabularies have {rows} and {len(self.schema.slots)}",
                "dimensions",
            )
        weights = self.directory / WEIGHTS
        if self.manifest.files[WEIGHTS].size % 4 or not self.manifest.files[WEIGHTS].size:
            raise BundleError(f"{weights}: not a file of float32", "weights")
        if not np.isfinite(np.memmap(weights, dtype=np.float32, mode="r")).all():
            raise BundleError(f"{weights}: a weight that is not finite", "weights")
        # in one order, so that every worker names the same one
        for name in sorted({PREDICT, ADS, RANK, EXPLAIN} & self.manifest.files.keys()):
            check_graph(self.directory / name, WEIGHTS, dimensions.rows)

    def vocabulary_bytes(self) -> dict[str, bytes]:
        """Each field's vocabulary file as it is."""
        return {
            name: (self.directory / vocabulary_file(name)).read_bytes()
            for name in self.schema.fields
        }

    def vocabulary_sha256(self, field: str) -> str:
        """What the digest of a field's vocabulary must be, wherever its bytes come from."""
        return self.manifest.files[vocabulary_file(field)].sha256

    def vocabularies(self) -> dict[str, FieldVocabulary]:
        """What each field learnt, in the order of the schema."""
        return {
            name: from_bytes(data, str(self.directory / vocabulary_file(name)))
            for name, data in self.vocabulary_bytes().items()
        }

    def encoder(self, vocabularies: Mapping[str, FieldVocabulary] | None = None) -> Encoder:
        """The encoder; the service gives it the `vocabularies` that Redis holds."""
        return Encoder(self.schema, self.vocabularies() if vocabularies is None else vocabularies)

    def scorer(self) -> Scorer:
        """The graphs, ready to run."""
        slots = self.schema.candidate_slots
        return Scorer(self.directory, self.manifest.dimensions, self.manifest.bias, slots)

    def golden(self) -> list[GoldenCase]:
        """The requests with known answers."""
        path = self.directory / GOLDEN
        try:
            cases = [GoldenCase(**json.loads(line)) for line in path.read_bytes().splitlines()]
        except (ValueError, TypeError) as error:
            raise BundleError(f"{path}: not a list of golden cases: {error}", "golden") from error
        if not cases:
            raise BundleError(f"{path}: no golden case", "golden")
        return cases

    def validation(self) -> LabelledRows | None:
        """Some of the rows held out when it was fitted; None where it was made without them."""
        if VALIDATION not in self.manifest.files:
            return None
        path = self.directory / VALIDATION
        return LabelledRows.parse(path.read_bytes(), str(path))


@contextmanager
def new_bundle(out: Path) -> Iterator[Path]:
    """A scratch directory beside `out`, which becomes `out` in one step when the block ends well,
    and is gone when it does not. What killed writers of `out` left is swept.

    Raises:
        BundleError: `out` exists, or its parent cannot be written.
    """
    if out.exists():
        raise BundleError(f"{out}: exists already; choose another directory or remove it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _sweep(out)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        handle = os.open(scratch, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_SH)  # tells a sweeper that this one is not abandoned
    except OSError as error:
        raise BundleError(f"{out}: cannot write there: {error.strerror}") from error
    try:
        yield scratch
        scratch.chmod(0o755)  # mkdtemp's is for the owner alone
        for path in (*(p for p in scratch.rglob("*") if p.is_file()), scratch):
            _sync(path)
        scratch.rename(out)
        _sync(out.parent)
    except OSError as error:
        raise BundleError(f"{out}: cannot write the bundle: {error.strerror}") from error
    finally:
        os.close(handle)
        shutil.rmtree(scratch, ignore_errors=True)


def _sweep(out: Path) -> None:
    for scratch in out.parent.glob(f".{out.name}.*/"):
        handle = os.open(scratch, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(scratch, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)


def write_manifest(directory: Path, created: str, **facts: Any) -> Manifest:
    """Seal a bundle whose other files are all written: digest them, name the version by date and
    content, write the manifest. `facts` are the manifest's other keys.
    """
    files = {
        str(path.relative_to(directory)): FileRecord(sha256=_digest(path), size=path.stat().st_size)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    content = json.dumps({name: record.sha256 for name, record in files.items()}).encode()
    stamp = re.sub(r"[^0-9]", "", created)[:14]
    version = f"{stamp}-{hashlib.sha256(content).hexdigest()[:8]}"
    manifest = Manifest(version=version, created=created, files=files, **facts)
    (directory / MANIFEST).write_bytes(manifest.dumps())
    return manifest


def _check_names(directory: Path, manifest: Manifest) -> None:
    for name in manifest.files:
        if not _ALLOWED.fullmatch(name) or ".." in name:
            raise BundleError(
                f"{directory / MANIFEST}: names {name!r}, which no bundle has", "manifest"
            )
    if missing := sorted(_REQUIRED - manifest.files.keys()):
        raise BundleError(f"{directory / MANIFEST}: does not name {missing[0]}", "manifest")
    for path in directory.rglob("*"):
        name = str(path.relative_to(directory))
        if path.is_dir() and not path.is_symlink() and name == "vocabulary":
            continue
        if name != MANIFEST and name not in manifest.files:
            code = "link" if path.is_symlink() else "extra_file"
            raise BundleError(f"{path}: the manifest does not name it", code)


def _check_file(path: Path, record: FileRecord) -> None:
    _check_plain(path)
    if (size := path.stat().st_size) != record.size:
        raise BundleError(f"{path}: {size} bytes, the manifest says {record.size}", "damaged")
    if _digest(path) != record.sha256:
        raise BundleError(f"{path}: damaged: its sha256 is not the manifest's", "damaged")


def _check_plain(path: Path) -> None:
    try:
        found = path.lstat()
    except OSError as error:
        raise BundleError(
            f"{path}: missing or not readable: {error.strerror}", "missing"
        ) from error
    if stat.S_ISLNK(found.st_mode):
        raise BundleError(f"{path}: a symbolic link", "link")
    if not stat.S_ISREG(found.st_mode):
        raise BundleError(f"{path}: not a plain file", "link")
    if found.st_nlink > 1:
        raise BundleError(f"{path}: a hard link: another name leads to the same file", "link")


def _read_plain(path: Path) -> bytes:
    _check_plain(path)
    return path.read_bytes()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
