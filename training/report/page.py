"""Pieces of an HTML page of one file; their markup stands in `templates/`. Whatever is not `Markup`
already is text, and escaped.

>>> str(paragraph("a < b", class_="note"))
'<p class="note">a &lt; b</p>'
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

LONGEST = 60  # characters of a value of the log


def shortened(value: str) -> str:
    """A value of the log, cut where it would fill the page."""
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


def joined(parts: Iterable[object], between: str = "\n") -> Markup:
    """One piece of several."""
    return _piece("joined", parts, between)


def element(name: str, content: object = "", **attributes: str) -> Markup:
    """One element; `class_` stands for class."""
    given = {key.rstrip("_"): value for key, value in attributes.items()}
    return _piece("element", name, content, given)


def paragraph(content: object, **attributes: str) -> Markup:
    """A paragraph."""
    return element("p", content, **attributes)


def section(title: str, *parts: object) -> Markup:
    """A part of the page under its heading."""
    return _piece("section", title, parts)


def words(sentences: Sequence[object]) -> Markup:
    """What the figures say, as a list that stands out."""
    return _piece("words", sentences)


def details(summary: str, *parts: object) -> Markup:
    """Parts that are shown when asked for."""
    return _piece("details", summary, parts)


def table(head: Sequence[object], rows: Iterable[Sequence[object]], texts: int = 1) -> Markup:
    """A table, of which the first `texts` columns (1, 2 or 4) are text and the others numbers. A
    cell may be a whole `td` already.
    """
    return _piece("table", head, rows, texts)


def heat_cell(share: float | None, text: str) -> Markup:
    """A cell that is the darker the nearer `share` is to 1."""
    return _piece("heat_cell", None if share is None else min(max(share, 0.0), 1.0), text)


def charts(*figures: object) -> Markup:
    """Figures side by side, as far as there is room."""
    return _piece("charts", figures)


def figure(
    title: str, drawing: Markup, note: str = "", legend: Sequence[str] = (), *, wide: bool = False
) -> Markup:
    """A chart with its title; `legend` names the series in the order of their colours."""
    return _piece("figure", title, drawing, note, legend, wide)


def page(title: str, *parts: object) -> str:
    """The whole document."""
    return _templates().get_template("page.html").render(title=title, body=joined(parts))


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _pieces() -> Any:
    return _templates().get_template("pieces.html").module


def _piece(name: str, *given: object) -> Markup:
    made: Markup = getattr(_pieces(), name)(*given)
    return made.strip()
