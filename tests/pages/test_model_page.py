"""The model page in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import Commands, Serving
from model.bundle.bundle import Bundle


@pytest.mark.parametrize(
    "look", [{}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}]
)
def test_the_model_page_shows_what_the_api_says_and_axe_finds_no_fault(
    look: dict[str, Any],
    watched: Callable[..., Any],
    serving: Callable[..., Any],
    tiny_bundle: Bundle,
) -> None:
    with serving(tiny_bundle) as service:  # of its own, since the shares are of all it was asked
        _shows_what_the_api_says(service, tiny_bundle, watched, look)


def _shows_what_the_api_says(
    service: Serving,
    tiny_bundle: Bundle,
    watched: Callable[..., Any],
    look: dict[str, Any],
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="make pages")
    with service.client() as client:
        for _ in range(3):
            row = {"device": "ios", "ad": "never seen"}
            assert client.post("/predict", json={"instances": [row]}).status_code == 200
        found = client.get("/model/facts").json()
    opened = watched(f"{service.url}/model.html", **look)
    page = opened.page
    assert tiny_bundle.version in page.inner_text("#what")
    rows = page.locator("#fields tbody tr")
    assert rows.count() == len(tiny_bundle.schema.fields) == len(found["fields"])
    ad = next(one for one in found["fields"] if one["name"] == "ad")
    assert ad["recent"]["unknown"] == 1.0
    assert "100.0 %" in page.inner_text("#fields tr:has(th:text-is('ad'))")
    assert page.locator("#pairs svg").count() == 2
    assert "mean absolute contribution" in page.text_content("#pairs-table")
    assert "/predict" in page.inner_text("#health")
    assert tiny_bundle.version in page.inner_text("#versions")
    for summary in page.locator("summary").all():
        summary.click()
    problems = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in problems] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_model_page_asks_for_an_admin_key_and_names_no_private_field(
    watched: Callable[..., Any],
    serving: Callable[..., Any],
    private_bundle: Bundle,
    tmp_path: Path,
) -> None:
    keys = str(tmp_path / "keys")
    made = Commands(tmp_path).run("key", "operator", "--rights", "admin", AFM_API_KEYS=keys)
    with serving(private_bundle, AFM_API_KEYS=keys) as service:
        opened = watched(f"{service.url}/model.html", ready="#key:not([hidden])")
        page = opened.page
        page.fill("#key-text", made.stdout.split()[0])
        page.click("#key button")
        page.wait_for_selector("#page:not([hidden])")
        assert "1 private field is left out" in page.inner_text("#foot")
        assert "device" not in page.text_content("main")
        opened.faults[:] = [fault for fault in opened.faults if "401" not in fault]
