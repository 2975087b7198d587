"""The files of the pages: plain HTML, CSS and JavaScript modules, of which nothing is fetched from
elsewhere.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "files"

HEAD = Path(__file__).parent / "head.html"

EXPLAIN, MODEL = "explain.html", "model.html"
TITLES = {EXPLAIN: "Why this score?", MODEL: "The model"}
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
    """The content of one of the `names`; a page with the head that all pages have."""
    content = (FOLDER / name).read_bytes()
    if name not in TITLES:
        return content
    head = HEAD.read_text(encoding="utf-8")
    script = name.replace(".html", ".js")
    return head.format(title=TITLES[name], script=script).encode() + content


def names() -> list[str]:
    """The files that a page may ask for."""
    return sorted(path.name for path in FOLDER.iterdir() if path.suffix in KINDS)


_IMPORT = re.compile(r'^import \{ ([^}]*) \} from "\./([\w-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


def in_one_script(entry: str) -> str:
    """A module and those that it imports as one script, each in a scope of its own: a browser does
    not load modules from a disk.
    """
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in parts:
            return
        text = read(name).decode()
        for _, imported in _IMPORT.findall(text):
            add(imported)
        exported = ", ".join(_EXPORT.findall(text))
        text = _EXPORT.sub("", _IMPORT.sub(r'const { \1 } = modules["\2"];', text))
        parts[name] = f'modules["{name}"] = (() => {{\n{text}return {{ {exported} }};\n}})();\n'

    add(entry)
    return '"use strict";\nconst modules = {};\n' + "".join(parts.values())


def policy(**changed: str) -> str:
    """The Content-Security-Policy of a page; `changed` directives with _ for -."""
    said = {**POLICY, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return "; ".join(f"{name} {value}" for name, value in said.items())
