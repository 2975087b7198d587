"""Logs at URLs that fsspec knows, copied to the user's cache directory.

What is copied is named by a digest of the URL and of what the store says of its files: size, time,
tag. So it is copied again when they have changed, and else not.

>>> url_of(Path("s3://ads/day=1/log.parquet"))
's3://ads/day=1/log.parquet'
>>> url_of(Path("logs/log.parquet")) is None
True
"""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from model.errors import ConfigError, DataError
from training.cache_home import cache_home

_URL = re.compile(r"[a-z][a-z0-9+.:-]+:/(?!/)")  # a path has one slash of the two


def url_of(path: Path) -> str | None:
    """The URL that a path of a command was; None where it was a path."""
    text = path.as_posix()
    if not _URL.match(text):
        return None
    return text.replace(":/", ":///" if text.startswith("file:") else "://", 1)


def local(path: Path) -> Path:
    """The path itself, or where the files of a URL are copied: a file, or a folder of all that are
    in one or match a pattern.

    Raises:
        ConfigError: fsspec, or what it needs for such a URL, is not installed.
        DataError: nothing there, or it cannot be copied.
    """
    url = url_of(path)
    if url is None or path.exists():
        return path
    try:
        import fsspec

        store, place = fsspec.core.url_to_fs(url)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{url}: needs {error.name}: pip install 'ctr-afm[remote]'") from error
    except ImportError as error:
        kind = url.partition("://")[0]
        raise ConfigError(f"{url}: {error}: pip install 'fsspec[{kind}]'") from error
    except ValueError as error:
        raise DataError(f"{url}: {error}") from error
    try:
        return _copied(url, store, place)
    except Exception as error:  # each kind of store has its own
        raise DataError(f"{url}: cannot be copied: {_words(error)}") from error


def _copied(url: str, store: Any, place: str) -> Path:
    files, root = _files(store, place)
    if not files:
        raise FileNotFoundError("no such file")
    known = json.dumps([url, files], default=str, sort_keys=True)
    folder = cache_home() / "files" / hashlib.sha256(known.encode()).hexdigest()[:32]
    if not folder.exists():
        aside = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700, parents=True)
        try:
            for name in files:
                target = aside / name.removeprefix(root).lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                store.get_file(name, str(target))
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder / Path(place).name if place in files else folder


def _files(store: Any, place: str) -> tuple[dict[str, Any], str]:
    # what the store says of each file, and the folder that they are in
    if re.search(r"[*?\[]", place):
        root = re.split(r"[^/]*[*?\[]", place)[0]
        found = store.glob(place, detail=True)
        return {name: of for name, of in found.items() if of["type"] == "file"}, root
    if store.isdir(place):
        return store.find(place, detail=True), place
    return {place: store.info(place)}, place.rpartition("/")[0]


def _words(error: Exception) -> str:
    return str(error).split("\n")[0] or type(error).__name__
