"""Charts as inline SVG, drawn by plain functions; page.html has their colours and its legend.

A library would bring its fonts and scripts along; these few shapes take no room and follow the
page's light and dark colours.

>>> ticks(0, 100, 5)
[0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 44
COLOURS = 6
LONGEST_NAME = 16  # characters of a field's name beside a heat map


@dataclass(frozen=True)
class Series:
    """One set of points; `low` and `high` are an interval around each y.

    `steps` draws a filled histogram: x holds the bins' edges, one more than y.
    """

    x: Sequence[float] | Floats
    y: Sequence[float] | Floats
    low: Sequence[float] | Floats | None = None
    high: Sequence[float] | Floats | None = None
    kind: Literal["line", "dashed", "points", "steps"] = "line"


def chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    diagonal: bool = False,
    marks: Sequence[tuple[float, str]] = (),
    counted: bool = False,
) -> Markup:
    """Series over two axes.

    Args:
        series: coloured in their order.
        x_label: below the chart.
        y_label: beside it.
        x_range: the ends of the axis; None: those of the points.
        y_range: likewise.
        diagonal: draw y = x.
        marks: upright lines, each at an x with a word at the top.
        counted: x are whole numbers.
    """
    frame = _Frame(
        x_range or _span([one.x for one in series]),
        y_range
        or _span([v for one in series for v in (one.y, one.low, one.high) if v is not None]),
    )
    parts = [frame.axes(x_label, y_label, counted)]
    if diagonal:
        low, high = max(frame.x[0], frame.y[0]), min(frame.x[1], frame.y[1])
        parts.append(_path("guide", [frame.at(low, low), frame.at(high, high)]))
    for x, word in marks:
        top, foot = frame.at(x, frame.y[1]), frame.at(x, frame.y[0])
        parts.append(_path("guide", [top, foot]))
        parts.append(_text(top[0] + 4, top[1] + 12, word, "start"))
    parts += [_series(frame, one, i % COLOURS) for i, one in enumerate(series)]
    return _svg(WIDTH, HEIGHT, parts, f"{y_label} over {x_label}")


def heat_map(names: Sequence[str], cells: Floats, what: str, *, ratios: bool = False) -> Markup:
    """A square [n, n] of which the lower triangle is drawn; NaN cells stay empty. The strongest
    colour is the largest, and each says its value when pointed at.

    `ratios`: 1 is pale, and a ratio below it has a colour of its own. The strongest colours are a
    factor of 2 from 1, or the largest there is: cells that are nearly 1 look alike.
    """
    side = min(34.0, 380 / max(len(names), 1))
    labels = [_short(name) for name in names]
    left = 12 + 7.2 * max(map(len, labels), default=0)
    size = side * len(names)
    if ratios:
        with np.errstate(divide="ignore"):
            shades = np.abs(np.log2(cells))
    else:
        shades = cells
    known = shades[np.isfinite(shades)]
    top = max(float(known.max(initial=0.0)), float(ratios))
    font = f"font-size:{min(12.0, max(7.0, side * 0.62)):.0f}px"
    parts = []
    for i, name in enumerate(names):
        y = i * side + 4
        label = _text(left - 5, y + side / 2 + 4, labels[i], "end", style=font)
        across = left + i * side + side / 2
        below = _text(
            across,
            size + 12,
            labels[i],
            "end",
            style=font,
            transform=f"rotate(-50 {across:.1f} {size + 12:.1f})",
        )
        parts += [label, below]
        for j in range(i + 1):
            value = float(cells[i, j])
            if not math.isfinite(value):
                continue
            share = min(float(shades[i, j]) / top, 1.0) if top > 0 else 0.0
            kind = "cell less" if ratios and value < 1 else "cell"
            tip = f"<title>{escape(name)} × {escape(names[j])}: {value:.4g}</title>"
            parts.append(
                f'<rect class="{kind}" x="{left + j * side:.1f}" y="{y:.1f}" '
                f'width="{side - 1:.1f}" height="{side - 1:.1f}" '
                f'fill-opacity="{0.05 + 0.9 * share:.3f}">{tip}</rect>'
            )
    foot = 12 + 6 * max(map(len, labels), default=0)
    return _svg(left + size + 10, size + foot + 10, parts, what)


def whiskers(rows: Sequence[tuple[str, float, float, float]], x_label: str) -> Markup:
    """A value with its interval a row, (name, value, low, high), beside an upright line at 0."""
    left, height = 20 + 7 * max((len(_short(row[0])) for row in rows), default=0), 26
    values = [value for row in rows for value in row[1:]]
    low, high = min([0.0, *values]), max([0.0, *values])
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    foot = 10 + height * len(rows)

    def across(value: float) -> float:
        return left + (WIDTH - RIGHT - left) * (value - low) / (high - low)

    parts = []
    for tick in ticks(low, high, 5):
        parts.append(_path("grid", [(across(tick), 6), (across(tick), foot)]))
        parts.append(_text(across(tick), foot + 16, _number(tick), "middle"))
    parts.append(_path("guide", [(across(0), 6), (across(0), foot)]))
    for i, (name, value, least, most) in enumerate(rows):
        y = 10 + height * (i + 0.5)
        clear = not least <= 0 <= most
        colour = 0 if clear else 5
        parts.append(_text(left - 8, y + 4, _short(name), "end"))
        parts.append(_path(f"line s{colour}", [(across(least), y), (across(most), y)]))
        parts.append(f'<circle class="f{colour}" cx="{across(value):.1f}" cy="{y:.1f}" r="4"/>')
    parts.append(_text((left + WIDTH) / 2, foot + 34, x_label, "middle"))
    return _svg(WIDTH, foot + 42, parts, x_label)


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` + 1 round numbers within low..high, evenly apart."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * n for n in (1, 2, 5, 10) if size * n >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


class _Frame:
    # from values to places on the drawing

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y = x, y

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        # what lies beyond an axis is drawn at its end
        across, up = min(max(across, 0.0), 1.0), min(max(up, 0.0), 1.0)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (
            HEIGHT - TOP - BOTTOM
        )

    def axes(self, x_label: str, y_label: str, counted: bool) -> str:
        parts = []
        foot, left = self.y[0], self.x[0]
        for value in ticks(*self.y, 5):
            (x0, y), (x1, _) = self.at(left, value), self.at(self.x[1], value)
            parts.append(_path("grid", [(x0, y), (x1, y)]))
            parts.append(_text(x0 - 6, y + 4, _number(value), "end"))
        for value in ticks(*self.x, 6):
            if counted and not value.is_integer():
                continue
            x, y = self.at(value, foot)
            parts.append(_path("axis", [(x, y), (x, y + 4)]))
            parts.append(_text(x, y + 17, _number(value), "middle"))
        parts.append(_path("axis", [self.at(left, foot), self.at(self.x[1], foot)]))
        parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle"))
        y = (TOP + HEIGHT - BOTTOM) / 2
        parts.append(_text(13, y, y_label, "middle", transform=f"rotate(-90 13 {y:.1f})"))
        return "".join(parts)


def _series(frame: _Frame, one: Series, colour: int) -> str:
    if one.kind == "steps":
        x, y = np.repeat(one.x, 2), np.concatenate([[0.0], np.repeat(one.y, 2), [0.0]])
        points = [frame.at(a, b) for a, b in zip(x, y, strict=True)]
        return _path(f"area f{colour}", points) + _path(f"line s{colour}", points)
    points = [frame.at(a, b) for a, b in zip(one.x, one.y, strict=True)]
    parts = []
    if one.low is not None and one.high is not None:
        ends = [
            (frame.at(a, low), frame.at(a, high))
            for a, low, high in zip(one.x, one.low, one.high, strict=True)
        ]
        if one.kind == "points":
            parts += [_path(f"line s{colour}", list(pair)) for pair in ends]
        else:
            around = [low for low, _ in ends] + [high for _, high in reversed(ends)]
            parts.append(_path(f"band f{colour}", around))
    if one.kind == "points" or len(points) == 1:
        parts += [
            f'<circle class="f{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points
        ]
    else:
        parts.append(_path(f"line s{colour}{' dashed' * (one.kind == 'dashed')}", points))
    return "".join(parts)


def _span(values: Sequence[Sequence[float] | Floats]) -> tuple[float, float]:
    whole = (
        np.concatenate([np.asarray(one, np.float64) for one in values]) if values else np.empty(0)
    )
    whole = whole[np.isfinite(whole)]
    if not len(whole):
        return 0.0, 1.0
    low, high = float(whole.min()), float(whole.max())
    margin = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
    return (0.0 if low >= 0 and low < margin * 4 else low - margin), high + margin


def _path(kind: str, points: Sequence[tuple[float, float]]) -> str:
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="{kind}" d="M{line}"/>'


def _text(x: float, y: float, text: str, anchor: str, **attributes: str) -> str:
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _svg(width: float, height: float, parts: Sequence[str], label: str) -> Markup:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:{width * 1.15:.0f}px"'
    drawing = f'<svg {size} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    return Markup(drawing)  # noqa: S704  every text in it went through `escape`


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−") if abs(value) > 1e-12 else "0"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
