"""Collects the pages of the documentation, and the site's settings, for the site generator:
`make docs` calls it.

The pages keep their places (`docs/`, `benchmarks/`, the root), so that a relative link leads to the
same page in the repository and on the site. A link to a file that is no page, such as a module,
becomes its text.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CHANGELOG.md", "THREATS.md", "docs/**/*.md", "benchmarks/*.md")
IMAGES = ("docs/**/*.svg", "docs/**/*.png", "benchmarks/*.svg")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#:]+)(#[^)]*)?\)")


def collect(out: Path) -> None:
    """Write the pages and their images into `out`/pages, and the settings beside them; `out` is
    emptied first.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copyfile(ROOT / "docs/zensical.toml", out / "zensical.toml")
    out = out / "pages"
    pages = {path for pattern in PAGES for path in ROOT.glob(pattern)}
    for path in pages:
        text = path.read_text(encoding="utf-8")
        _place(path, out).write_text(_with_links(text, path, pages), encoding="utf-8")
    for path in (image for pattern in IMAGES for image in ROOT.glob(pattern)):
        shutil.copyfile(path, _place(path, out))


def _place(path: Path, out: Path) -> Path:
    name = path.relative_to(ROOT)
    place = out / ("index.md" if str(name) == "README.md" else name)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _with_links(text: str, path: Path, pages: set[Path]) -> str:
    def link(found: re.Match[str]) -> str:
        target = (path.parent / found[2]).resolve()
        if target == ROOT / "README.md":
            return found[0].replace("README.md", "index.md")
        return found[0] if target in pages else found[1]

    return LINK.sub(link, text)


if __name__ == "__main__":
    collect(Path(sys.argv[1]))
