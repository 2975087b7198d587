"""The import graph of the packages: no circle, and no arrow against the order of calls."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# In the order of calls: a room may import what stands after it, and itself.
FLOORS = {
    "service": [
        ["cli"],
        ["demo"],
        ["http"],
        ["versions"],
        ["scoring"],
        ["store", "observe"],
        ["settings"],
        ["setting_groups"],
        ["limits", "setting_names", "redis_url", "runtime"],
        ["errors"],
    ],
    "training": [
        ["cli"],
        ["commands"],
        ["cluster", "compare", "search", "tracking"],
        ["fit"],
        ["export"],
        ["report"],
        ["kernels"],
        ["state"],
        ["shards"],
        ["evaluation"],
        ["draft", "simulate"],
        ["stream"],
        ["data"],
        ["columns", "remote"],
        ["device"],
        ["cache_home", "config", "cores", "group", "jobs"],
    ],
}


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in ("service", "model", "training", "ctr_afm", "artf")
        for path in (ROOT / package).rglob("*.py")
    }


def imports(path: Path, known: set[str]) -> set[str]:
    """The modules of this project that a file imports, inside functions as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                deep = f"{node.module}.{alias.name}"
                found.add(deep if deep in known else node.module)
    return found & known


MODULES = modules()
GRAPH = {name: imports(path, set(MODULES)) - {name} for name, path in MODULES.items()}


def room(module: str) -> str:
    return module.split(".")[1]


def test_import_graph_has_no_circle() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(GRAPH[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in sorted(GRAPH):
        visit(name, ())


@pytest.mark.parametrize("package", FLOORS)
def test_import_graph_has_no_arrow_against_the_order_of_calls(package: str) -> None:
    floor = {name: at for at, names in enumerate(FLOORS[package]) for name in names}
    wrong = {
        (name, other)
        for name, others in GRAPH.items()
        for other in others
        if name.startswith(f"{package}.")
        and other.startswith(f"{package}.")
        and room(name) != room(other)
        and floor[room(other)] <= floor[room(name)]
    }
    assert wrong == set()


@pytest.mark.parametrize(
    ("package", "others"),
    [
        ("service", {"training", "ctr_afm", "artf"}),
        ("training", {"service", "ctr_afm", "artf"}),
        ("model", {"service", "training", "ctr_afm", "artf"}),
        ("ctr_afm", {"service", "artf"}),
        ("artf", {"service", "training", "model", "ctr_afm"}),
    ],
)
def test_import_graph_keeps_the_packages_apart(package: str, others: set[str]) -> None:
    crossed = {
        (name, other)
        for name, found in GRAPH.items()
        for other in found
        if name.startswith(package) and other.split(".")[0] in others
    }
    assert crossed == set()
