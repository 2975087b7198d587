"""Traces that are kept on disk, so that the next fit of the same structure need not trace it.

They lie in ctr-afm/traces of the user's cache directory, by version of torch, of onnx and of the
code that they are made of. Where it cannot be written, each process traces anew.
"""

import hashlib
from collections.abc import Hashable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

import model.nets
from model.files.whole_file import whole_file
from training.cache_home import cache_home

KEPT = 128  # files, of about 100 kB
MADE_BY = ("torch", "onnx", "onnxscript")  # packages
DIGEST = hashlib.sha256().digest_size


def read_trace(key: Hashable) -> onnx.ModelProto | None:
    """The trace of a structure; None where none is kept, or its file is damaged."""
    try:
        kept = _file(key).read_bytes()
        if hashlib.sha256(kept[DIGEST:]).digest() == kept[:DIGEST]:
            graph: onnx.ModelProto = onnx.ModelProto.FromString(kept[DIGEST:])
            return graph
    except (OSError, RuntimeError, DecodeError):  # also without a home
        pass
    return None


def keep_trace(key: Hashable, graph: onnx.ModelProto) -> None:
    """Keep a trace, in place of the oldest where there are many."""
    written = graph.SerializeToString()
    try:
        path = _file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(hashlib.sha256(written).digest() + written)
        kept = sorted(path.parent.glob("[!.]*"), key=lambda file: file.stat().st_mtime)
        for oldest in kept[:-KEPT]:
            oldest.unlink(missing_ok=True)
    except (OSError, RuntimeError):  # what cannot be kept is traced again
        pass


def _file(key: Hashable) -> Path:
    # all of a key has a text that is the same in each process: names, shapes, numbers, types
    return cache_home() / "traces" / _code() / hashlib.sha256(repr(key).encode()).hexdigest()


@cache
def _code() -> str:
    folders = Path(__file__).parent, Path(next(iter(model.nets.__path__)))
    sources = (path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py")))
    found = hashlib.sha256(b"".join(sources))
    found.update(repr([version(name) for name in MADE_BY]).encode())
    return found.hexdigest()[:16]
