"""How a row of quality.md is printed."""

from model.metrics.bootstrap import Difference


def line(*cells: object) -> None:
    """One row of a table."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def shown(found: Difference | None) -> str:
    """A difference with its interval."""
    if found is None:
        return "–"
    low, high = found.interval
    return f"{found.value:+.4f} ({low:+.4f} to {high:+.4f})"
