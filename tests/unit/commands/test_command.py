"""One call of a command line: its exit status, and the one line that a mistake is answered with."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer

from model.command import command_line, epilog, run_command
from model.errors import ConfigError


@pytest.fixture(scope="module")
def app() -> Any:
    app = command_line("Does things with nets.", "tool fit log.csv")

    @app.command(epilog=epilog("tool fit log.csv --epochs 3"))
    def fit(
        log: Path,
        epochs: Annotated[int, typer.Option(min=1, max=9)] = 1,
        net: Literal["fm", "afm"] = "fm",
    ) -> None:
        """Fit a net."""
        typer.echo(f"{log} {epochs} {net}")

    @app.command()
    def refuse() -> None:
        raise ConfigError("net.toml: no such net")

    @app.command()
    def interrupt() -> None:
        raise KeyboardInterrupt

    return app


def test_a_command_that_ends_well_returns_0(app: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(app, "tool", ["fit", "log.csv", "--epochs", "3"]) == 0
    assert capsys.readouterr() == ("log.csv 3 fm\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["refuse"], "net.toml: no such net"),
        (["fti", "x"], "No such command 'fti'. Did you mean 'fit'?; see tool --help"),
        (["fit", "x", "--epoch", "3"], "(Possible options: --epochs)"),
        (["fit", "x", "--epochs", "0"], "'--epochs': Input should be greater than or equal to 1"),
        (["fit", "x", "--epochs", "many"], "'--epochs': Input should be a valid integer"),
        (["fit", "x", "--net", "amf"], "'--net': 'amf' is not one of 'fm', 'afm'; see"),
        (["fit"], "Missing argument 'log'; see tool fit --help"),
        ([], "Missing command; see tool --help"),
    ],
    ids=" ".join,
)
def test_a_mistake_of_the_user_is_one_line_and_status_2(
    app: Any, capsys: pytest.CaptureFixture[str], arguments: Any, said: str
) -> None:
    assert run_command(app, "tool", arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tool: ")
    assert said in err
    assert err.count("\n") == 1


def test_an_interrupted_command_returns_130_and_says_what_is_left(
    app: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(app, "tool", ["interrupt"], "interrupted, nothing written") == 130
    assert capsys.readouterr().err == "tool: interrupted, nothing written\n"


def test_help_shows_ranges_and_examples(app: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(app, "tool", ["fit", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "[default: 1; 1<=x<=9]" in shown
    assert "\n    tool fit log.csv --epochs 3\n" in shown
