"""The test files that need neither torch nor what trains, a line each: what `make py313` runs where
there is no torch for that Python.
"""

import re
from pathlib import Path

UNIT = Path(__file__).parents[1] / "unit"
# modules of the trainer and of development, scripts that import them, fixtures that fit a bundle
TRAINS = re.compile(
    r"torch|training|model\.nets|polars|sklearn|openapi_spec|importlib\.util|"
    r"tiny_bundle|make_bundle"
)


def files() -> list[str]:
    """Their paths."""
    found = sorted(UNIT.rglob("test_*.py"))
    return [str(path) for path in found if not TRAINS.search(path.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    print("\n".join(files()))
