"""The files of a bundle: their names, and whether they are what the manifest says."""

import hashlib
import re
import stat
from pathlib import Path
from urllib.parse import quote

from model.errors import BundleError
from model.manifest import FileRecord, Manifest

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


def check_files(directory: Path, manifest: Manifest) -> None:
    """Refuse a directory that holds other files than the manifest names, or other contents.

    Raises:
        BundleError: which file, and what is wrong with it.
    """
    _check_names(directory, manifest)
    for name, record in manifest.files.items():
        _check_file(directory / name, record)


def _check_names(directory: Path, manifest: Manifest) -> None:
    """Refuse a directory whose files are not those that the manifest names.

    Raises:
        BundleError: which file.
    """
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
    """Refuse a file that is not plain, or not of the size and digest that the manifest says.

    Raises:
        BundleError: what is wrong with it.
    """
    _check_plain(path)
    if (size := path.stat().st_size) != record.size:
        raise BundleError(f"{path}: {size} bytes, the manifest says {record.size}", "damaged")
    if digest(path) != record.sha256:
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


def read_plain(path: Path) -> bytes:
    """The bytes of a file that is no link.

    Raises:
        BundleError: it is missing, or a link.
    """
    _check_plain(path)
    return path.read_bytes()


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
