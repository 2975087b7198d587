"""Pieces of an HTML page of one file. Whatever is not `Html` already is text, and escaped."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

LONGEST = 60  # characters of a value of the log
_TEMPLATE = Path(__file__).with_name("page.html")


class Html(str):
    """Markup that is safe as it stands."""

    __slots__ = ()


def escaped(content: object) -> Html:
    """Text as markup that shows it, quotes included; markup as it is."""
    return content if isinstance(content, Html) else Html(html.escape(str(content), quote=True))


def shortened(value: str) -> str:
    """A value of the log, cut where it would fill the page."""
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


def joined(parts: Iterable[object], between: str = "\n") -> Html:
    """One piece of several."""
    return Html(between.join(escaped(part) for part in parts))


def element(name: str, content: object = "", **attributes: str) -> Html:
    """One element; `class_` stands for class."""
    given = "".join(f' {key.rstrip("_")}="{escaped(v)}"' for key, v in attributes.items())
    return Html(f"<{name}{given}>{escaped(content)}</{name}>")


def paragraph(content: object, **attributes: str) -> Html:
    """A paragraph."""
    return element("p", content, **attributes)


def section(title: str, *parts: object) -> Html:
    """A part of the page under its heading."""
    return element("section", joined([element("h2", title), *parts]))


def words(sentences: Sequence[object]) -> Html:
    """What the figures say, as a list that stands out."""
    return element("ul", joined(element("li", one) for one in sentences), class_="words")


def details(summary: str, *parts: object) -> Html:
    """Parts that are shown when asked for."""
    return element("details", joined([element("summary", summary), *parts]))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], texts: int = 1) -> Html:
    """A table, of which the first `texts` columns (1, 2 or 4) are text and the others numbers. A
    cell may be a whole `td` already.
    """
    row_class = f"t{texts}"
    header = element("tr", joined((element("th", cell) for cell in head), ""), class_=row_class)
    body = (element("tr", joined(map(_cell, row), ""), class_=row_class) for row in rows)
    whole = element("table", joined([element("thead", header), element("tbody", joined(body))]))
    return element("div", whole, class_="scroll")


def heat_cell(share: float | None, text: str) -> Html:
    """A cell that is the darker the nearer `share` is to 1."""
    if share is None:
        return element("td", "–")
    return element("td", text, class_="heat", style=f"--v:{min(max(share, 0.0), 1.0):.3f}")


def charts(*figures: object) -> Html:
    """Figures side by side, as far as there is room."""
    return element("div", joined(figures), class_="charts")


def figure(
    title: str, drawing: Html, note: str = "", legend: Sequence[str] = (), *, wide: bool = False
) -> Html:
    """A chart with its title; `legend` names the series in the order of their colours."""
    caption = element("figcaption", joined([title, element("small", note)] if note else [title]))
    keys = (
        joined([Html(f'<span><i class="f{i}"></i>'), name, Html("</span>")], "")
        for i, name in enumerate(legend)
    )
    parts = [caption, *([element("div", joined(keys), class_="legend")] if legend else []), drawing]
    return element("figure", joined(parts), **({"class_": "wide"} if wide else {}))


def page(title: str, *parts: object) -> str:
    """The whole document."""
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=escaped(title), body=joined(parts))


def _cell(content: object) -> Html:
    is_cell = isinstance(content, Html) and content.startswith("<td")
    return escaped(content) if is_cell else element("td", content)
