"""The documentation's site: every page is in its navigation, and no link leads nowhere."""

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def collected(out: Path) -> Path:
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "docs/site.py")
    assert spec is not None
    assert spec.loader is not None
    site = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(site)
    site.collect(out)
    return out


def pages_of(nav: list[dict[str, Any]]) -> Iterator[str]:
    """The pages of a navigation, those of its groups among them."""
    for entry in nav:
        for found in entry.values():
            if isinstance(found, str):
                yield found
            else:
                yield from pages_of(found)


def test_docs_site_has_every_page_in_its_navigation(tmp_path: Path) -> None:
    out = collected(tmp_path / "site")
    nav = tomllib.loads((out / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    named = list(pages_of(nav))
    pages = {str(path.relative_to(out / "pages")) for path in (out / "pages").rglob("*.md")}
    assert sorted(named) == sorted(pages)


def test_docs_site_has_no_link_that_leads_nowhere(tmp_path: Path) -> None:
    pages = collected(tmp_path / "site") / "pages"
    links = [
        (path, link)
        for path in pages.rglob("*.md")
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    ]
    assert links
    assert [(path, link) for path, link in links if not (path.parent / link).exists()] == []
