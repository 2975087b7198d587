"""Loads the packages `model`, `training` and `service` from where this distribution is installed,
whatever else of these names stands in the notebook's folder, where Python would look first.
"""

import sys
import warnings
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

NAMES = ("model", "training", "service")
HOME = Path(__file__).resolve().parents[1]


def load_own_packages() -> None:
    """Load the three, each under its name. A file that cannot be imported beside them any more is
    named in a warning.

    Raises:
        ImportError: another module of such a name was imported before; names its file.
    """
    for name in NAMES:
        loaded = sys.modules.get(name)
        if loaded is None:
            _load(name)
        elif not _is_own(name, getattr(loaded, "__file__", None)):
            raise ImportError(
                f"ctr_afm has a package {name!r}, and {_place(loaded)} was imported under that "
                f"name: rename it, or import ctr_afm first"
            )
        found = PathFinder.find_spec(name)
        # without an origin it is a folder without Python in it, which hides nothing
        if found is not None and found.origin is not None and not _is_own(name, found.origin):
            warnings.warn(
                f"{found.origin} cannot be imported beside ctr_afm, whose own package is named "
                f"{name!r}: rename it to use both",
                stacklevel=3,
            )


def _load(name: str) -> None:
    folder = HOME / name
    spec = spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None  # noqa: S101  of a file that ends in .py
    assert spec.loader is not None  # noqa: S101  likewise
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _is_own(name: str, file: str | None) -> bool:
    return file is not None and Path(file).resolve() == HOME / name / "__init__.py"


def _place(module: object) -> str:
    folders = [*getattr(module, "__path__", ()), "a module without a file"]
    return str(getattr(module, "__file__", None) or folders[0])
