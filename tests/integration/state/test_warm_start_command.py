"""afm-train fit --from as a user calls it: what it says, what it refuses, what is served next."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from bundle_parts import probabilities_of, values_of
from commands import Commands
from fit_calls import write_csv
from model.bundle.bundle import Bundle
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main
from warm_starts import newer_rows

CONFIG = "embedding = 4\nattention_size = 4\n[fit]\nepochs = 1\n[attention]\nepochs = 1\n"


@pytest.fixture
def home(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> Any:
    write_csv(tmp_path / "old.csv", tiny_rows())
    write_csv(tmp_path / "log.csv", newer_rows())
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    shutil.copytree(make_bundle("afm").directory, tmp_path / "yesterday")
    return tmp_path


def fit_command(home: Any, *more: Any) -> Any:
    """`fit` of log.csv from the bundle yesterday to one today."""
    options = ["--schema", "schema.toml", "--from", "yesterday", "--out", "today"]
    words = [word if word.startswith("--") else home / word for word in ["log.csv", *options]]
    return main(["fit", *map(str, [*words, *more])])


def test_the_command_says_what_it_went_on_with_and_what_grew(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yesterday = Bundle.open(home / "yesterday")
    assert fit_command(home, "--replay", home / "old.csv") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"from: afm, version {yesterday.version}; only its last step, attention"
    assert said[1] == f"replayed: 135 rows of {home / 'old.csv'}"
    assert said[2] == "grown: device 3 + 1, hour 24 + 0, interests 4 + 0, ad 12 + 2"
    assert said[4].startswith("today's afm ")
    assert f"of version {yesterday.version}" in said[4]
    today = Bundle.open(home / "today")
    # without --config, the bundle's own: three epochs at most, K = 4
    assert today.manifest.training["config"] == yesterday.manifest.training["config"]
    assert {epoch["step"] for epoch in today.manifest.training["epochs"]} == {"afm"}


def refused(home: Any, capsys: pytest.CaptureFixture[str], code: Any, *says: Any) -> None:
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    assert printed.err.startswith("afm-train: ")
    for part in says:
        assert part in printed.err
    assert not [path for path in home.iterdir() if path.name == "today" or path.name[0] == "."]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--net", "fm"], "holds the net afm, and the configuration asks for fm"),
        (["--replay-share", "0.3"], "--replay-share: goes with --replay"),
        (["--replay", "old.csv", "--replay-share", "1"], "--replay-share 1: must lie between"),
        (["--replay", "none.csv"], "none.csv: no such file"),
    ],
)
def test_an_option_that_cannot_be_used_costs_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    options = [str(home / word) if word.endswith(".csv") else word for word in options]
    refused(home, capsys, fit_command(home, *options), says)


def test_replay_without_a_bundle_costs_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--schema",
        home / "schema.toml",
        "--out",
        home / "today",
        "--replay",
        home / "old.csv",
    ]
    code = main(["fit", *map(str, [home / "log.csv", *words])])
    refused(home, capsys, code, "--replay: goes with --from")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ('net = "fm"\n' + CONFIG, "holds the net afm, and the configuration asks for fm"),
        (CONFIG.replace("embedding = 4", "embedding = 5"), "embedding is of shape"),
        (CONFIG.replace("attention_size = 4", "attention_size = 5"), "parameter h is of"),
    ],
)
def test_a_configuration_of_another_net_or_size_costs_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], config: Any, says: str
) -> None:
    (home / "config.toml").write_text(config)
    code = fit_command(home, "--config", home / "config.toml")
    refused(home, capsys, code, str(home / "yesterday"), says)


HOUR = '[fields.hour]\nkind = "categorical"\nmissing = "absent"\n'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (HOUR, '[fields.hour]\nkind = "numeric"\n', "'hour': kind is categorical there, numeric"),
        (HOUR, '[fields.hour]\nkind = "categorical"\n', "'hour': missing is absent there, token"),
        (HOUR, "", "'hour': only the bundle has it"),
        (HOUR, HOUR + '[fields.site]\nkind = "numeric"\n', "'site': only the schema has it"),
        ("max_values = 3", "max_values = 4", "'interests': max_values is 3 there, 4"),
        ('"log1p"', '"none"', "'price': transform is log1p there, none"),
        ('label = "click"\n', 'label = "click"\ntask = "regression"\n', "its task is click"),
    ],
)
def test_a_schema_that_encodes_otherwise_costs_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], old: Any, new: Any, says: str
) -> None:
    assert old in TINY_SCHEMA
    (home / "schema.toml").write_text(TINY_SCHEMA.replace(old, new))
    refused(home, capsys, fit_command(home), str(home / "yesterday"), says)


def test_fields_in_another_order_cost_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TINY_SCHEMA.replace(HOUR, "") + HOUR
    (home / "schema.toml").write_text(text)
    refused(home, capsys, fit_command(home), "another order")


def test_settings_that_change_no_row_of_the_table_may_differ(home: Path) -> None:
    text = TINY_SCHEMA.replace('role = "candidate"', 'role = "candidate"\nmin_count = 40', 1)
    (home / "schema.toml").write_text(text)
    assert fit_command(home) == 0
    # the bundle's ads stay, and of the new ones each has 60 rows, or 54 without those held out
    assert len(values_of(Bundle.open(home / "today"), "ad")) == 14


def test_an_out_that_exists_is_left_as_it_is(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "today").mkdir()
    assert fit_command(home) == 2
    assert "exists already" in capsys.readouterr().err
    assert list((home / "today").iterdir()) == []


def _serves(version: str, answer: httpx.Response) -> bool:
    return bool(answer.json()["version"] == version)


def test_a_running_service_goes_from_yesterday_to_today(home: Path, commands: Commands) -> None:
    rows = [{"device": "glasses", "ad": ad, "price": 2.0} for ad in ("a1", "a-new", "never")]
    assert fit_command(home) == 0
    with commands.serving() as served:
        for day in ("yesterday", "today"):
            version = commands.publish(home / day)
            served.wait_until("/readyz", lambda answer: answer.status_code == 200)
            served.wait_until("/model", partial(_serves, version))
            answer = httpx.post(served.url + "/predict", json={"instances": rows}).json()
            bundle = Bundle.open(home / day)
            expected = probabilities_of(bundle, rows)
            assert answer["probabilities"] == expected.tolist()
    known, grown, never = bundle.read_encoder().encode(rows).ids[:, -2].tolist()
    assert len({known, grown, never}) == 3, "a value of today has a row of its own"
