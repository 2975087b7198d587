"""What `afm-train fit` refuses: one line, and nothing is left."""

from pathlib import Path
from typing import Any

import pytest

from fit_calls import fit, refused
from model import nets
from training.config import NETS, Config


@pytest.mark.parametrize(
    ("csv", "says"),
    [
        ("device,ad\nios,a1\n", "no column 'click'"),
        ("", "empty file"),
        ("click,device,hour,interests,ad,price\n", "no rows"),
        ("click,device,hour,interests,ad,price\n2,ios,1,,a1,3\n", "label must be 0 or 1"),
        ("click,device,hour,interests,ad,price\n1,ios,1,,a1,x\n", "'price', row 1"),
        ("click,device,interests,ad,price\n1,ios,,a1,3\n", "no column 'hour'"),
        ("click,device,hour,interests,ad,price\n" + "1,ios,1,,a1,3\n" * 50, "both classes"),
    ],
)
def test_a_log_that_cannot_be_used_costs_one_line_and_leaves_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], csv: Any, says: str
) -> None:
    (home / "bad.csv").write_text(csv)
    before = sorted(path.name for path in home.iterdir())
    refused(capsys, fit(home, data="bad.csv"), "bad.csv", says)
    assert sorted(path.name for path in home.iterdir()) == before


def test_a_log_that_is_not_there_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, fit(home, data="none.csv"), "none.csv", "no such file")


def test_an_out_directory_that_exists_is_refused_before_the_training(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "bundle").mkdir()
    (home / "bundle" / "mine").write_text("kept")
    refused(capsys, fit(home), "bundle", "exists already")
    assert (home / "bundle" / "mine").read_text() == "kept"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("colour = 1", "colour: unknown key"),
        ("[fit]\nepochs = -1", "fit.epochs"),
        ("[fit]\ndropout = 1.0", "fit.dropout"),
        ('net = "deepfm"', "net: "),
        ("hidden = [8, 0]", "hidden.1"),
        ("[afm_plus]\ntemperature = 2", "afm_plus.temperature: unknown key"),
        ("[fit", "not TOML"),
    ],
)
def test_a_bad_configuration_is_named_by_file_and_key(
    home: Path, capsys: pytest.CaptureFixture[str], config: str, says: str
) -> None:
    (home / "fast.toml").write_text(config)
    refused(capsys, fit(home), "fast.toml", says)


def test_the_command_the_configuration_and_the_nets_know_the_same_names() -> None:
    named = Config.model_json_schema()["properties"]["net"]["enum"]
    assert list(NETS) == list(nets.NETS) == named
