"""The explain page in a real browser, against the API that it shows."""

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bundle_parts import values_of
from commands import Commands, Serving
from model.bundle.bundle import Bundle

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
LOOKS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "reduced_motion": "reduce"},
    "phone": PHONE,
}


def explained(service: Serving, request: dict[str, Any]) -> list[dict[str, Any]]:
    with service.client() as client:
        answer = client.post("/explain", json={**request, "top": None})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["explanations"]
    return found


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("+", "").replace("%", "").strip())


def ranking(page: Any) -> list[tuple[int, float]]:
    """Each candidate's place in the request, and its probability in percent, as the page ranks."""
    rows = page.query_selector_all("#ranking-table tbody tr")
    cells = [
        (int(row.get_attribute("data-candidate")), row.query_selector_all("td")) for row in rows
    ]
    return [(position, number(found[2].inner_text())) for position, found in cells]


def shown_terms(page: Any) -> float:
    """The sum of the contributions that the table of terms lists."""
    cells = page.query_selector_all("#terms-table tbody tr td:last-child")
    return math.fsum(number(cell.inner_text()) for cell in cells)


def check_against_the_api(page: Any, service: Serving, request: dict[str, Any]) -> None:
    answers = explained(service, request)
    order = sorted(range(len(answers)), key=lambda i: (-answers[i]["probability"], i))
    found = ranking(page)
    assert [position for position, _ in found] == order
    assert [percent for _, percent in found] == [
        pytest.approx(100 * answers[i]["probability"], abs=0.00501) for i in order
    ]
    chosen = answers[int(page.input_value("input[name=chosen]:checked"))]
    count = page.locator("#terms-table tbody tr").count()
    # each term is written with five digits behind the point
    room = 1e-5 + 0.51e-5 * count
    assert shown_terms(page) == pytest.approx(chosen["logit"] - chosen["bias"], abs=room)


@pytest.mark.parametrize("which", ["tiny", "coupon"])
def test_the_page_follows_a_changed_value(
    which: str,
    watched: Callable[..., Any],
    serving: Callable[..., Any],
    request: pytest.FixtureRequest,
) -> None:
    bundle: Bundle = request.getfixturevalue(f"{which}_bundle")
    with serving(bundle) as service:
        opened = watched(f"{service.url}/")
        page = opened.page
        page.click("#terms summary")
        before = opened.asked()
        check_against_the_api(page, service, before)
        sentence, drawn = page.inner_text("#sentence"), page.inner_html("#maps")
        assert sentence
        name = "ad" if which == "tiny" else "coupon"
        field = page.locator(f"#candidate-{name}")
        others = values_of(bundle, name)
        value = next(one for one in others if one != field.input_value())
        field.fill(value)
        after = opened.shows(lambda asked: asked["candidates"][0][name] == value)
        check_against_the_api(page, service, after)
        assert page.inner_html("#maps") != drawn
        assert name in page.inner_text("#waterfall")
        page.locator(f"#candidate-{name}-missing").check()
        missing = opened.shows(lambda asked: asked["candidates"][0][name] is None)
        check_against_the_api(page, service, missing)
        assert page.locator(f"[data-source={name}] .mark").inner_text() == "missing"
        field.fill("a value that nobody saw")
        opened.shows(lambda asked: asked["candidates"][0][name] == "a value that nobody saw")
        assert page.locator(f"[data-source={name}] .mark").inner_text() == "unknown"


def test_the_slider_of_a_number_moves_its_value(
    watched: Callable[..., Any], tiny_service: Serving
) -> None:
    opened = watched(f"{tiny_service.url}/")
    slider = opened.page.locator("[data-source=price] input[type=range]")
    slider.focus()
    before = opened.asked()["candidates"][0]["price"]
    slider.press("End")
    after = opened.shows(lambda asked: asked["candidates"][0]["price"] != before)
    most = float(slider.get_attribute("max"))
    assert after["candidates"][0]["price"] == pytest.approx(most, rel=1e-3)


def test_the_least_change_is_the_one_that_brute_force_finds(
    watched: Callable[..., Any], tiny_service: Serving, tiny_bundle: Bundle
) -> None:
    opened = watched(f"{tiny_service.url}/")
    page = opened.page
    asked = opened.asked()
    last = ranking(page)[-1][0]
    page.locator(f"#candidate-{last}").check()
    page.click("#find")
    page.wait_for_selector("#least strong")
    said = page.inner_text("#least strong")
    found: dict[tuple[str, str], float] = {}
    with tiny_service.client() as client:
        for name, field in tiny_bundle.schema.fields.items():
            body = {**asked, "row": last, "field": name}
            listed = client.post("/whatif", json=body).json()
            for i, value in enumerate(listed["values"]):
                given = listed.get("given", listed["values"])[i]
                context, candidates = dict(asked["context"]), [dict(c) for c in asked["candidates"]]
                (context if field.role == "context" else candidates[last])[name] = given
                answer = client.post(
                    "/predict", json={"context": context, "candidates": candidates}
                )
                answers = answer.json()["probabilities"]
                margin = answers[last] - max(p for i, p in enumerate(answers) if i != last)
                if margin > 0:
                    found[name, str(value)] = margin
    named, value = min(found, key=lambda key: found[key])
    assert said.startswith(f"{named}: ")
    assert (value == "None" and "(missing)" in said) or value in said or named == "price"
    page.click("#least button")
    opened.shows(lambda now: now != asked)
    assert ranking(page)[0][0] == last


def test_all_values_of_a_field_are_listed_with_what_the_api_answers(
    watched: Callable[..., Any], tiny_service: Serving, tiny_bundle: Bundle
) -> None:
    opened = watched(f"{tiny_service.url}/")
    page = opened.page
    page.select_option("#field", "ad")
    page.wait_for_selector("#values table")
    body = {**opened.asked(), "row": 0, "field": "ad"}
    with tiny_service.client() as client:
        expected = client.post("/whatif", json=body).json()
    rows = page.locator("#values tbody tr")
    assert rows.count() == len(expected["values"]) == len(values_of(tiny_bundle, "ad")) + 1
    assert number(rows.first.locator("td").first.inner_text()) == pytest.approx(
        100 * max(expected["answers"]), abs=0.00501
    )
    page.fill("#values-filter", "a11")
    assert rows.count() == 1
    rows.first.locator("button").click()
    opened.shows(lambda asked: asked["candidates"][0]["ad"] == "a11")


def test_two_candidates_and_two_versions_stand_side_by_side(
    watched: Callable[..., Any], serving: Callable[..., Any], make_bundle: Callable[..., Bundle]
) -> None:
    old, new = make_bundle("fm"), make_bundle("afm")
    with serving(old, AFM_SHADOW_REQUESTS="0") as service:
        commands = Commands(service.log.parent)
        commands.publish(new.directory, "--force")
        service.wait_until("/model", lambda answer: answer.json()["version"] == new.version)
        opened = watched(f"{service.url}/")
        page = opened.page
        answers = explained(service, opened.asked())
        page.select_option("#other", "1")
        page.wait_for_selector("#sides table")
        logits = page.locator("#sides tr.total").first.locator("td.number")
        assert number(logits.nth(0).inner_text()) == pytest.approx(answers[0]["logit"], abs=6e-4)
        assert number(logits.nth(1).inner_text()) == pytest.approx(answers[1]["logit"], abs=6e-4)
        page.select_option("#other", "before")
        page.wait_for_selector(f"#sides >> text={old.version}")
        with service.client() as client:
            body = {**opened.asked(), "top": None}
            before = client.post("/explain/previous", json=body).json()
        assert before["version"] == old.version
        logit = before["explanations"][0]["logit"]
        assert number(logits.nth(1).inner_text()) == pytest.approx(logit, abs=6e-4)


def test_the_address_keeps_what_is_asked_and_nothing_of_it_is_sent(
    watched: Callable[..., Any], tiny_service: Serving
) -> None:
    state = {"context": {"device": "web"}, "candidates": [{"ad": "a3"}, {"ad": "a4"}], "chosen": 1}
    opened = watched(f"{tiny_service.url}/#{quote(json.dumps(state))}")
    assert opened.asked() == {"context": state["context"], "candidates": state["candidates"]}
    assert opened.page.input_value("input[name=chosen]:checked") == "1"
    opened.page.locator("#context-device").fill("ios")
    opened.shows(lambda asked: asked["context"]["device"] == "ios")
    again = watched(opened.page.url)
    assert again.asked() == opened.asked()
    assert "a3" not in tiny_service.log.read_text()


def test_an_api_key_is_asked_for_and_forgotten_by_a_reload(
    watched: Callable[..., Any], serving: Callable[..., Any], tiny_bundle: Bundle, tmp_path: Path
) -> None:
    made = Commands(tmp_path).run(
        "key", "page", "--rights", "explain", AFM_API_KEYS=str(tmp_path / "keys")
    )
    key = made.stdout.split()[0] if made.returncode == 0 else pytest.fail(made.stderr)
    with serving(tiny_bundle, AFM_API_KEYS=str(tmp_path / "keys")) as service:
        opened = watched(f"{service.url}/", ready="#key:not([hidden])")
        assert "API key" in opened.page.inner_text("#fault")
        opened.page.fill("#key-text", key)
        opened.page.click("#key button")
        opened.page.wait_for_selector("#page:not([hidden])")
        stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        assert opened.page.evaluate(stored) == '[{},{},""]'
        assert key not in opened.page.url
        assert "$AFM_KEY" in opened.page.text_content("#copy-text")
        opened.page.reload()
        opened.page.wait_for_selector("#key:not([hidden])")
        # what a browser itself notes of a 401 is no fault of the page
        opened.faults[:] = [fault for fault in opened.faults if "401" not in fault]


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_has_no_fault_that_axe_finds(
    look: str, watched: Callable[..., Any], tiny_service: Serving
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="make pages installs it"
    )
    opened = watched(f"{tiny_service.url}/", **LOOKS[look])
    page = opened.page
    page.click("#terms summary")
    page.click("#find")
    page.wait_for_selector("#least p")
    page.select_option("#field", "ad")
    page.wait_for_selector("#values table")
    page.select_option("#other", "1")
    page.wait_for_selector("#sides table")
    found = axe.Axe().run(page)
    assert [(one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_whole_page_comes_in_100_kb(tiny_service: Serving, watched: Callable[..., Any]) -> None:
    opened = watched(f"{tiny_service.url}/")
    urls = opened.page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
    with tiny_service.client() as client:
        asked = [f"{tiny_service.url}/", *(url for url in urls if "/page/" in url)]
        sizes = [len(gzip.compress(client.get(url).content)) for url in asked]
    assert len(sizes) > 5
    assert sum(sizes) <= 100_000
