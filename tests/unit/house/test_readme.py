"""The promises around the code: what a reader looks up in the README stands there, and is true."""

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from prometheus_client import Counter

import service.cli
import training.cli
from service.errors import HttpError
from service.http.problems import CODES, STATUS
from service.observe.metrics import METRICS
from service.settings import Settings
from training.config import AFMPlusParts, Config, Step

ROOT = Path(__file__).parents[3]
PAGES = {
    path: path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
README = "\n".join(PAGES.values())
BENCHMARKS = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
PACKAGES = ("model", "training", "service", "ctr_afm", "artf")
TABLES = ("fit", "attention", "afm_plus")  # of the training configuration
COMMANDS = {"afm-train": training.cli.app, "afm-serve": service.cli.app}


def section(title: str) -> str:
    """The text below a heading, up to the next one of its level."""
    found = re.search(rf"^(#+) {re.escape(title)}$\n", README, flags=re.MULTILINE)
    assert found, f"the README has no section {title!r}"
    below = README[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", below, flags=re.MULTILINE)
    return below[: end.start()] if end else below


def first_cells(text: str) -> dict[str, str]:
    """The rows of a section's tables: name in the first cell's code -> the whole row."""
    rows = re.findall(r"^\| `([^`]+)`.*$", text, flags=re.MULTILINE)
    lines = re.findall(r"^\| `.*$", text, flags=re.MULTILINE)
    return dict(zip(rows, lines, strict=True))


def code_lines() -> list[str]:
    """The lines of all shell blocks, continued ones joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    return "\n".join(blocks).replace("\\\n", " ").splitlines()


def called_commands() -> list[tuple[str, list[str]]]:
    """Each call of `afm-train` and `afm-serve` in a shell block: the command and its arguments."""
    found = []
    for line in [line for line in code_lines() if "afm-" in line]:
        words = shlex.split(line, comments=True)
        names = [Path(word).name for word in words]
        for name in COMMANDS:
            if name in names:
                at = names.index(name)
                found.append((name, [word for word in words[at + 1 :] if word != "&"]))
    return found


def make_targets() -> set[str]:
    """The targets with a help line."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9]+):.*## ", text, flags=re.MULTILINE))


def named_codes(path: Path) -> Iterator[str]:
    """Codes that a file raises InputError or answers a problem with, written as plain text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        place = {"InputError": 0, "_fault": 0, "problem": 1}.get(called)
        if place is None or len(node.args) <= place:
            continue
        code = node.args[place]
        if isinstance(code, ast.Constant) and isinstance(code.value, str):
            yield code.value


def all_codes() -> set[str]:
    """Every code that a caller can meet."""
    sources = [p for package in ("model", "service") for p in (ROOT / package).rglob("*.py")]
    written = {code for path in sources for code in named_codes(path)}
    classes = {kind.code for kind in STATUS if issubclass(kind, HttpError)}
    # payloads.py makes them of the key
    options = {f"bad_{key}" for key in ("timeout_ms", "strict", "top", "row", "field")}
    options |= {f"empty_{key}" for key in ("instances", "candidates")}
    return written | classes | options | set(CODES.values())


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_in_the_readme_with_its_default(name: str) -> None:
    row = first_cells(section("Settings"))[f"AFM_{name.upper()}"]
    default = Settings.model_fields[name].default
    shown = {None: "none", 8 << 20: "8388608"}.get(default, str(default))
    assert f"| `{shown}` |" in row


def test_the_table_of_settings_names_no_other_setting() -> None:
    known = {f"AFM_{name.upper()}" for name in Settings.model_fields}
    assert first_cells(section("Settings")).keys() == known


def test_every_metric_is_in_the_readme_with_its_labels() -> None:
    rows = first_cells(section("Metrics"))
    wanted = {}
    for name, spec in METRICS.items():
        suffix = "_total" if spec.kind is Counter else ""
        labels = ",".join(spec.labels)
        wanted[f"{name}{suffix}"] = f"{{{labels}}}" if labels else ""
    assert {name.partition("{")[0]: name.partition("{")[2] for name in rows} == {
        name: labels[1:] for name, labels in wanted.items()
    }


def test_every_metric_but_one_is_a_sign_of_something_that_an_operator_can_do() -> None:
    named = set(re.findall(r"afm_[a-z_]+", section("When an alarm rings")))
    known = {name.partition("{")[0] for name in first_cells(section("Metrics"))}
    assert known - named == {"afm_rows_total"}
    assert named <= known


@pytest.mark.parametrize("code", sorted(all_codes()))
def test_an_error_code_is_in_the_readme(code: str) -> None:
    assert f"`{code}`" in section("Errors")


def test_the_table_of_errors_names_no_code_that_nobody_gives() -> None:
    rows = re.findall(r"^\| \d{3} \| (.*?) \|", section("Errors"), flags=re.MULTILINE)
    named = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    assert named == all_codes()


@pytest.mark.parametrize(("kind", "status"), STATUS.items())
def test_a_code_stands_beside_its_status(kind: type, status: int) -> None:
    code = kind.code if issubclass(kind, HttpError) else "wrong_type"
    assert re.search(rf"^\| {status} \|.*`{code}`", section("Errors"), flags=re.MULTILINE)


@pytest.mark.parametrize("key", [k for k in Config.model_fields if k not in TABLES])
def test_a_configuration_key_is_in_the_readme_with_its_default(key: str) -> None:
    row = first_cells(section("Training configuration"))[key]
    default = tomllib_value(Config.model_fields[key].default)
    assert f"| `{default}` |" in row


@pytest.mark.parametrize("key", Step.model_fields)
def test_a_key_of_a_training_step_is_in_the_readme_with_both_defaults(key: str) -> None:
    row = first_cells(section("Training configuration"))[key]
    defaults = [tomllib_value(getattr(step, key)) for step in (Config().fit, Config().attention)]
    assert f"| `{defaults[0]}` | `{defaults[1]}` |" in row


@pytest.mark.parametrize("key", AFMPlusParts.model_fields)
def test_a_switch_of_afm_plus_is_in_the_readme(key: str) -> None:
    assert f"`{key}`" in section("Training configuration")


def tomllib_value(value: object) -> str:
    """A default as the README writes it, which TOML reads back."""
    value = list(value) if isinstance(value, tuple) else value
    text = json.dumps(value)  # of these kinds, JSON is TOML
    assert tomllib.loads(f"x = {text}")["x"] == value
    return text


@pytest.mark.parametrize(
    "path",
    [
        str(path.relative_to(ROOT))
        for folder in (*PACKAGES, "docker", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.*"))
        if path.is_file() and path.name != "__init__.py" and path.suffix != ".pyc"
    ],
)
def test_a_file_stands_in_the_tree_with_a_line_or_its_folder_does(path: str) -> None:
    folder = path.rpartition("/")[0]
    deep = "/" in folder  # not a whole package's line for each of its files
    assert has_a_line(path) or (deep and has_a_line(f"{folder}/"))


@pytest.mark.parametrize(
    "folder",
    sorted({path.relative_to(ROOT).parts[1] for path in ROOT.glob("tests/*/**/test_*.py")}),
)
def test_a_folder_of_tests_stands_in_the_tree_with_a_line(folder: str) -> None:
    assert has_a_line(f"tests/{folder}/")


def has_a_line(place: str) -> bool:
    """Whether the tree says something of it."""
    line = rf"^{re.escape(place)} +\S.{{10,}}$"
    return re.search(line, section("The tree"), flags=re.MULTILINE) is not None


@pytest.mark.parametrize("title", ["The tree", "Where things are"])
def test_a_tree_names_no_file_that_is_not_there(title: str) -> None:
    named = re.findall(r"^([\w.-]+/[\w./-]*) ", section(title), flags=re.MULTILINE)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("name", "arguments"), called_commands(), ids=str)
def test_a_command_of_the_readme_is_one_that_the_parsers_take(
    name: str, arguments: list[str]
) -> None:
    line: Any = typer.main.get_command(COMMANDS[name])
    with line.make_context(name, list(arguments)) as context:
        chosen, command, rest = line.resolve_command(context, arguments)
        command.make_context(chosen, rest, parent=context).close()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_shown_in_the_readme(name: str) -> None:
    shown = {arguments[0] for command, arguments in called_commands() if command == name}
    assert shown == set(vars(typer.main.get_command(COMMANDS[name]))["commands"])


def test_every_make_target_is_in_the_readme_and_no_other() -> None:
    words = re.findall(r"\bmake ([a-z0-9]+)", "\n".join([*code_lines(), section("Targets")]))
    assert set(words) == make_targets()


def test_readme_has_at_most_150_lines_and_12_kb() -> None:
    text = PAGES[ROOT / "README.md"]
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 12_000


def test_a_relative_link_leads_to_a_file() -> None:
    pages = {**PAGES, ROOT / "benchmarks/README.md": BENCHMARKS}
    links = [
        path.parent / link
        for path, text in pages.items()
        for link in re.findall(r"\]\(([^)#:]+)\)", text)
    ]
    assert links
    assert [link for link in links if not link.exists()] == []


def test_the_benchmark_in_the_readme_is_the_last_one_kept() -> None:
    pattern = r"^\| +\d.*$"
    part = BENCHMARKS.split("<!-- bench:begin -->")[1].split("<!-- bench:end -->")[0]
    kept = re.findall(pattern, part, flags=re.MULTILINE)[:10]  # the closed loop's
    shown = ["|".join(line.split("|")[:10]) + "|" for line in kept]  # up to the ratio
    assert [line.split("|")[2].strip() for line in shown] == ["1", "10", "50", "100", "500"] * 2
    assert re.findall(pattern, section("Speed"), flags=re.MULTILINE) == shown


def test_the_threats_name_tests_that_are_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "THREATS.md").read_text(encoding="utf-8")))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named
    assert named - defined == set()


@pytest.mark.parametrize("page", ["README.md", "THREATS.md", "docs", "benchmarks"])
def test_a_path_that_a_page_names_is_there(page: str) -> None:
    place = ROOT / page
    texts = [path.read_text(encoding="utf-8") for path in place.rglob("*.md")]
    text = "\n".join(texts) if place.is_dir() else place.read_text(encoding="utf-8")
    folders = "service|model|training|benchmarks|docker|tests"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_changelog_names_the_version_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(project['version'])}\b", changelog, flags=re.MULTILINE)
