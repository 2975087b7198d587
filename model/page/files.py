"""The files of the pages: plain HTML, CSS and JavaScript modules, of which nothing is fetched from
elsewhere.
"""

from pathlib import Path

FOLDER = Path(__file__).parent / "files"

EXPLAIN, MODEL = "explain.html", "model.html"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

# What a browser may do for a page: run and show its own files, and ask the service it came from.
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "form-action": "'none'",
}


def read(name: str) -> bytes:
    """The content of one of the `names`."""
    return (FOLDER / name).read_bytes()


def names() -> list[str]:
    """The files that a page may ask for."""
    return sorted(path.name for path in FOLDER.iterdir() if path.suffix in KINDS)


def policy(**changed: str) -> str:
    """The Content-Security-Policy of a page; `changed` directives with _ for -."""
    said = {**POLICY, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return "; ".join(f"{name} {value}" for name, value in said.items())
