"""The what-if page as one file, in a real browser, against the encoder and the graphs that the
service has.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import Serving
from model.bundle.bundle import Bundle
from model.explanation import Explainer
from model.values.values import Reading
from tiny import tiny_rows
from training.config import NETS
from training.export.what_if_file import write_what_if

EXPLAIN = """
async (requests) => {
  const { Local } = modules["local.js"];
  const local = new Local(JSON.parse(document.getElementById("portable").textContent));
  const found = [];
  for (const request of requests) found.push((await local.explain(request)).explanations[0]);
  return found;
}
"""
WHAT_IF = """
async ([request, row, field]) => {
  const { Local } = modules["local.js"];
  const local = new Local(JSON.parse(document.getElementById("portable").textContent));
  return local.whatIf(request, row, field);
}
"""
READ = """
([how, texts]) => {
  const { Reading } = modules["reading.js"];
  const reading = new Reading(how);
  return texts.map((text) => reading.number(text));
}
"""
ODD = [
    "never seen",
    " ios ",
    "IOS",
    "21.0",
    "2.1e1",
    "007",
    "",
    "TRUE",
    "a1",
    "é",
    None,
    True,
    7,
    3.5,
]


def changed_rows(bundle: Bundle, count: int, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of which one field after the other gets another value, odd ones among them."""
    draw = random.Random(5)
    found = []
    row = dict(rows[0])
    vocabularies = bundle.read_vocabularies()
    for _ in range(count):
        if draw.random() < 0.1:
            row = dict(draw.choice(rows))
        name = draw.choice(list(bundle.schema.fields))
        field = bundle.schema.fields[name]
        values = getattr(vocabularies[name], "values", ())
        if field.kind == "numeric":
            row[name] = draw.choice(
                [None, draw.uniform(-5, 60), draw.randint(0, 9), "4.25", " 1e1 "]
            )
        elif field.kind == "multivalue":
            row[name] = draw.sample([*values, "odd", "cars"], draw.randint(0, min(4, len(values))))
        else:
            row[name] = draw.choice([*values, draw.choice(ODD)])
        found.append({k: v for k, v in row.items() if k in bundle.schema.fields})
    return found


def expected_of(bundle: Bundle, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    encoder, scorer = bundle.read_encoder(), bundle.read_scorer()
    return Explainer(encoder, scorer).explain(rows, encoder.encode(rows), None)


def check_equal(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if other["probability"] is None:
            assert one["probability"] is None
        else:
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)
        assert one["logit"] == pytest.approx(other["logit"], rel=1e-5, abs=1e-5)
        named = [(term["field"], term["value"], term["known"]) for term in one["linear"]]
        assert named == [(term["field"], term["value"], term["known"]) for term in other["linear"]]
        if other["pairs"] is None:
            assert one["pairs"] is None
            continue
        terms = {(*pair["fields"], *pair["values"]): pair for pair in one["pairs"]}
        for pair in other["pairs"]:
            mine = terms[(*pair["fields"], *pair["values"])]
            assert mine["contribution"] == pytest.approx(pair["contribution"], rel=1e-5, abs=1e-5)
            assert mine["attention"] == pytest.approx(pair["attention"], abs=1e-5)


@pytest.mark.parametrize(
    ("net", "task", "count"), [*((net, "click", 1000) for net in NETS), ("fm", "regression", 20)]
)
def test_the_file_scores_changes_as_the_service_does(
    net: str,
    task: str,
    count: int,
    make_bundle: Callable[..., Bundle],
    watched: Callable[..., Any],
    tmp_path: Path,
) -> None:
    bundle = make_bundle(net, task=task)
    write_what_if(bundle.directory, tmp_path / "whatif.html")
    opened = watched((tmp_path / "whatif.html").as_uri())
    rows = changed_rows(bundle, count, tiny_rows(50))
    found = opened.page.evaluate(EXPLAIN, [{"context": {}, "candidates": [row]} for row in rows])
    check_equal(found, expected_of(bundle, rows))


def test_the_file_scores_a_real_log_as_the_service_does(
    coupon_bundle: Bundle, watched: Callable[..., Any], tmp_path: Path
) -> None:
    write_what_if(coupon_bundle.directory, tmp_path / "whatif.html")
    opened = watched((tmp_path / "whatif.html").as_uri())
    rows = changed_rows(coupon_bundle, 1000, coupon_bundle.read_golden()[0].request["instances"])
    found = opened.page.evaluate(EXPLAIN, [{"context": {}, "candidates": [row]} for row in rows])
    check_equal(found, expected_of(coupon_bundle, rows))


def test_the_file_tries_the_changes_that_the_service_tries(
    tiny_service: Serving, tiny_bundle: Bundle, watched: Callable[..., Any], tmp_path: Path
) -> None:
    write_what_if(tiny_bundle.directory, tmp_path / "whatif.html")
    opened = watched((tmp_path / "whatif.html").as_uri())
    with tiny_service.client() as client:
        asked = client.get("/whatif").json()["example"]
        for row in range(len(asked["candidates"])):
            for field in (None, *tiny_bundle.schema.fields):
                found = opened.page.evaluate(WHAT_IF, [asked, row, field])
                body = {**asked, "row": row, **({} if field is None else {"field": field})}
                expected = client.post("/whatif", json=body).json()
                assert found["first"] == expected["first"]
                assert found["tried"] == expected["tried"]
                if (least := expected["least"]) is None:
                    assert found["least"] is None
                else:
                    assert found["least"]["field"] == least["field"]
                    assert found["least"]["value"] == pytest.approx(least["value"])
                if field is not None:
                    assert found["values"] == pytest.approx(expected["values"])
                    assert found["answers"] == pytest.approx(expected["answers"], abs=1e-5)
                    assert found["others"] == pytest.approx(expected["others"], abs=1e-5)


def test_the_file_is_the_page_and_asks_nobody(
    tiny_bundle: Bundle, watched: Callable[..., Any], tmp_path: Path
) -> None:
    write_what_if(tiny_bundle.directory, tmp_path / "whatif.html")
    opened = watched((tmp_path / "whatif.html").as_uri())
    page = opened.page
    before = page.inner_text("#candidate-title")
    value = "a1" if page.locator("#candidate-ad").input_value() != "a1" else "a2"
    page.locator("#candidate-ad").fill(value)
    opened.shows(lambda asked: asked["candidates"][0]["ad"] == value)
    assert page.inner_text("#candidate-title") != before
    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate("fetch('http://127.0.0.1:9/')")
    refused = [fault for fault in opened.faults if "Content Security Policy" in fault]
    assert refused
    opened.faults[:] = [fault for fault in opened.faults if fault not in refused]
    opened.elsewhere.clear()


def test_the_file_leaves_private_fields_out(
    private_bundle: Bundle, watched: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "whatif.html"
    write_what_if(private_bundle.directory, out)
    text = out.read_text(encoding="utf-8")
    data = json.loads(text.partition('id="portable">')[2].partition("</script>")[0])
    held = json.dumps({**data, "net": None})
    assert '"device"' not in held
    assert '"ios"' not in held
    opened = watched(out.as_uri())
    assert "1 private field is left out" in opened.page.inner_text("#foot")
    assert "with private fields" in opened.page.inner_text("#waterfall")
    rows = [{k: v for k, v in row.items() if k not in ("device", "click")} for row in tiny_rows(20)]
    found = opened.page.evaluate(EXPLAIN, [{"context": {}, "candidates": [row]} for row in rows])
    expected = expected_of(private_bundle, rows)
    assert [one["probability"] for one in found] == pytest.approx(
        [one["probability"] for one in expected], abs=1e-5
    )


@pytest.mark.parametrize("thousands", [" ", "'"])
def test_the_file_reads_numbers_with_marks_as_the_service_does(
    thousands: str, make_bundle: Callable[..., Bundle], watched: Callable[..., Any], tmp_path: Path
) -> None:
    write_what_if(make_bundle("fm").directory, tmp_path / "whatif.html")
    opened = watched((tmp_path / "whatif.html").as_uri())
    reading = Reading(thousands=thousands, decimal=",")
    texts = [f"-1{mark}234{mark}567,5" for mark in reading.thousands_marks]
    how = {"nulls": [], "null_numbers": [], "thousands": thousands, "decimal": ","}
    found = opened.page.evaluate(READ, [how, texts])
    assert found == [reading.number(text) for text in texts] == [-1234567.5] * len(texts)
