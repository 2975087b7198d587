"""Charts: what is drawn where, and that the drawing is well-formed."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup, escape

from training.report.page import (
    charts,
    details,
    element,
    figure,
    heat_cell,
    page,
    paragraph,
    section,
    table,
    words,
)
from training.report.plots import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Series,
    chart,
    heat_map,
    ticks,
    whiskers,
)

HOSTILE = '<script>alert("1")</script>&\'"'


def parsed(drawing: Any) -> Any:
    return ET.fromstring(str(drawing))  # noqa: S314  our own drawing


def points(drawing: Any, kind: Any) -> Any:
    (path,) = (p.get("d") for p in parsed(drawing).iter("path") if p.get("class") == kind)
    return [tuple(map(float, pair.split())) for pair in path[1:].split("L")]


def test_a_line_runs_from_corner_to_corner() -> None:
    drawing = chart([Series([0, 1], [0, 1])], "x", "y", x_range=(0, 1), y_range=(0, 1))
    assert points(drawing, "line s0") == [(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, TOP)]


def test_point_beyond_an_axis_stays_on_the_drawing() -> None:
    drawing = chart([Series([0, 5], [0, -3])], "x", "y", x_range=(0, 1), y_range=(0, 1))
    assert points(drawing, "line s0")[1] == (WIDTH - RIGHT, HEIGHT - BOTTOM)


def test_an_interval_is_a_band_of_a_line_and_a_whisker_of_a_point() -> None:
    band = chart([Series([0, 1], [1, 2], [0, 1], [2, 3])], "x", "y")
    assert len(points(band, "band f0")) == 4
    whisker = chart([Series([0, 1], [1, 2], [0, 1], [2, 3], kind="points")], "x", "y")
    assert str(whisker).count("<circle") == 2
    assert str(whisker).count('class="line s0"') == 2


def test_a_histogram_returns_to_the_floor() -> None:
    steps = chart([Series([0, 1, 2], [3, 1], kind="steps")], "x", "y", y_range=(0, 4))
    drawn = points(steps, "area f0")
    assert len(drawn) == 6
    assert drawn[0][1] == drawn[-1][1] == HEIGHT - BOTTOM


@pytest.mark.parametrize(
    "series", [[], [Series([], [])], [Series([1], [1])], [Series([1, 2], [3, 3])]]
)
def test_little_to_draw_is_drawn_all_the_same(series: Any) -> None:
    drawing = str(chart(series, "x", "y"))
    parsed(drawing)
    assert "nan" not in drawing
    assert "inf" not in drawing


def test_ticks_are_round_and_within_and_few() -> None:
    assert ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(-0.013, 0.0021, 5) == pytest.approx([-0.01, -0.005, 0])
    rng = np.random.default_rng(0)
    for low, size in zip(rng.normal(0, 100, 200), 10 ** rng.uniform(-6, 6, 200), strict=True):
        found = ticks(low, low + size, 5)
        assert 2 <= len(found) <= 6
        assert min(found) >= low - 1e-6 * size
        assert max(found) <= low + size * (1 + 1e-6)


def test_axis_of_counts_has_whole_ticks() -> None:
    def labels(**options: Any) -> Any:
        drawing = parsed(chart([Series([1, 2, 3], [5, 5, 5])], "epoch", "", **options))
        return {text.text for text in drawing.iter("text")}

    assert "1.5" in labels(x_range=(0.5, 3.5))
    assert "1.5" not in labels(x_range=(0.5, 3.5), counted=True)
    assert {"1", "2", "3"} <= labels(x_range=(0.5, 3.5), counted=True)


def test_a_heat_map_draws_each_pair_once_and_leaves_absent_ones_out() -> None:
    cells = np.array([[np.nan, 0.5, 1.0], [0.5, np.nan, np.nan], [1.0, np.nan, 0.25]])
    drawing = parsed(heat_map(["a", "b", "c"], cells, "pairs"))
    tips = {r.find("title").text: float(r.get("fill-opacity")) for r in drawing.iter("rect")}
    assert tips == {
        "b × a: 0.5": pytest.approx(0.5),
        "c × a: 1": pytest.approx(0.95),
        "c × c: 0.25": pytest.approx(0.275),
    }


def test_ratios_are_coloured_by_their_distance_from_one() -> None:
    def cells(*ratios: Any) -> Any:
        square = np.full((3, 3), np.nan)
        square[np.tril_indices(3, -1)] = ratios
        drawing = parsed(heat_map(["a", "b", "c"], square, "pairs", ratios=True))
        return [(r.get("class"), float(r.get("fill-opacity"))) for r in drawing.iter("rect")]

    pale, half, full = (pytest.approx(0.05 + 0.9 * share, abs=1e-3) for share in (0, 0.5, 1))
    assert cells(1.0, 4.0, 0.5) == [("cell", pale), ("cell", full), ("cell less", half)]
    nearly = cells(1.001, 0.999, 1.0)
    assert all(opacity < 0.06 for _, opacity in nearly), "equal weights are no pattern"
    assert cells(0.0, 2.0, 1.0)[0] == ("cell less", full)


def test_a_heat_map_of_many_fields_or_of_nothing_is_drawn() -> None:
    for size in (1, 60):
        drawing = parsed(
            heat_map([f"field {i}" for i in range(size)], np.full((size, size), np.nan), "x")
        )
        width = float(drawing.get("viewBox").split()[2])
        assert width < 700


def test_whiskers_colour_what_excludes_zero() -> None:
    drawing = str(whiskers([("sure", 1.0, 0.5, 1.5), ("unsure", 0.1, -0.5, 0.7)], "gain"))
    parsed(drawing)
    assert re.findall(r'<circle class="(f\d)"', drawing) == ["f0", "f5"]


def test_names_in_charts_are_text() -> None:
    for drawing in (
        heat_map([HOSTILE, "b"], np.ones((2, 2)), HOSTILE),
        whiskers([(HOSTILE, 1, 0, 2)], HOSTILE),
        chart([Series([0, 1], [0, 1])], HOSTILE, HOSTILE, marks=[(0.5, HOSTILE)]),
    ):
        assert "<script" not in drawing
        parsed(drawing)


def test_text_is_escaped_once_and_markup_not_at_all() -> None:
    assert escape("<b>") == "&lt;b&gt;"
    assert escape(escape('"<b>')) == "&#34;&lt;b&gt;"
    assert escape(Markup("<b>")) == "<b>"


def test_every_piece_of_a_page_escapes_what_it_is_given() -> None:
    whole = page(
        HOSTILE,
        section(HOSTILE, paragraph(HOSTILE), words([HOSTILE]), details(HOSTILE, HOSTILE)),
        table([HOSTILE], [[HOSTILE], [heat_cell(0.5, HOSTILE)]]),
        charts(figure(HOSTILE, Markup("<svg></svg>"), HOSTILE, [HOSTILE])),
        element("div", HOSTILE, class_=HOSTILE),
    )
    assert "<script" not in whole
    assert whole.count("&lt;script&gt;") == 14


def test_a_cell_is_as_warm_as_its_share() -> None:
    assert "--v:0.250" in heat_cell(0.25, "25 %")
    assert "--v:1.000" in heat_cell(7.0, "much")
    assert heat_cell(None, "–") == "<td>–</td>"
