"""`afm-train fit --from`: a bundle is fitted further, on newer rows."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import torch

from bundle_parts import probabilities_of, values_of
from commands import Commands
from model.bundle.bundle import Bundle
from model.bundle.files import WEIGHTS
from model.nets.net import TABLES
from model.values.ids import FIRST, MISSING, UNKNOWN
from model.values.scales import Scaler
from model.vocabulary import Vocabulary
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main
from training.config import NETS, Config, Step
from training.data.log import Log
from training.data.parts import without_held_out
from training.fit.fit import fit
from training.fit.step.watcher import Epoch, Watcher
from training.fit.steps import new_net
from training.state.warm_start import WarmStart, completed

STEP = Step(epochs=2, batch=128, learning_rate=0.02)
STILL = Step(epochs=0)


def newer_rows(seed: Any = 7) -> Any:
    """Rows of a later day: two new ads and a new device, each often, and an ad seen once. Nobody
    uses a tablet or likes golf.
    """
    rows = tiny_rows(seed=seed)
    for number, row in enumerate(rows):
        if number % 5 == 0:
            row["ad"] = ("a-new", "b-new")[number % 2]
        if number % 7 == 0:
            row["device"] = "glasses"
        row["interests"] = [liked for liked in row["interests"] or () if liked != "golf"] or None
    rows[3]["ad"] = "seen once"
    return rows


def as_log(rows: Any, schema: Any) -> Any:
    columns = {name: [row[name] for row in rows] for name in schema.fields}
    return Log(columns, np.array([row["click"] for row in rows], np.float32))


def go_on(
    bundle: Any,
    out: Any,
    rows: Any,
    step: Any = STILL,
    watcher: Any = None,
    replay: Any = None,
    share: Any = 0.2,
) -> Any:
    """`rows` are both trained on and held out, so that all of them count as training rows."""
    schema = bundle.schema
    start = WarmStart.open(bundle.directory).with_replay(replay, share)
    net = bundle.manifest.net
    config = Config(net=net, embedding=4, attention_size=4, fit=step, attention=step)
    log = as_log(rows, schema)
    fit(log, log, None, schema, config, out, 1, watcher or Watcher(), start)
    return Bundle.open(out)


def scores(bundle: Any, rows: Any) -> Any:
    fields = [{name: row[name] for name in bundle.schema.fields} for row in rows]
    return bundle.read_scorer().predict(bundle.read_encoder().encode(fields))


def table_row(bundle: Any, table: Any, field: Any, number: Any) -> Any:
    """One row of a table by its id within the field."""
    first = bundle.read_encoder().offsets[bundle.schema.slots.index(field)]
    return WarmStart.open(bundle.directory).parameters[table][first + number].tolist()


@pytest.mark.parametrize("net", NETS)
def test_before_the_first_step_every_row_scores_to_the_bit_as_it_did(
    make_bundle: Callable[..., Bundle], tmp_path: Path, net: Any
) -> None:
    old = make_bundle(net)
    new = go_on(old, tmp_path / "new", newer_rows())
    assert new.manifest.dimensions.rows == old.manifest.dimensions.rows + 3
    # rows of new values too: the unknown row scored them, of which their rows are copies
    for rows in (tiny_rows(seed=3), newer_rows()):
        assert np.array_equal(scores(new, rows).logits, scores(old, rows).logits)


@pytest.mark.parametrize("net", NETS)
def test_a_bundle_has_every_parameter_of_its_net_to_the_bit(
    make_bundle: Callable[..., Bundle], net: Any
) -> None:
    bundle = make_bundle(net)
    start = WarmStart.open(bundle.directory)
    made = new_net(net, bundle.read_encoder(), start.config())
    start.load(made, bundle.read_vocabularies())
    encoded = bundle.read_encoder().encode([{"device": "ios", "ad": "a1", "price": 2.0}])
    with torch.no_grad():
        logit = made(torch.from_numpy(encoded.ids), torch.from_numpy(encoded.values))
    assert start.parameters.keys() == dict(made.named_parameters()).keys()
    expected = bundle.read_scorer().predict(encoded).logits
    assert logit.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_known_values_keep_their_ids_and_new_ones_stand_behind_them(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old = make_bundle("fm")
    newer = go_on(old, tmp_path / "new", newer_rows())
    new = newer.read_vocabularies()
    learnt = [name for name, known in new.items() if isinstance(known, Vocabulary)]
    grown = {name: values_of(newer, name) for name in learnt}
    for name, known in old.read_vocabularies().items():
        if isinstance(known, Scaler):
            assert new[name] == known
        else:
            assert grown[name][: len(values_of(old, name))] == values_of(old, name)
    added = {
        name: grown[name][len(values_of(old, name)) :]
        for name, known in old.read_vocabularies().items()
        if not isinstance(known, Scaler)
    }
    assert added == {"device": ("glasses",), "hour": (), "interests": (), "ad": ("a-new", "b-new")}


@pytest.mark.parametrize("net", ["lr", "ffm", "afm+"])
def test_a_new_value_starts_from_the_trained_unknown_row(
    make_bundle: Callable[..., Bundle], tmp_path: Path, net: str
) -> None:
    old = make_bundle(net)
    new = go_on(old, tmp_path / "new", newer_rows())
    ads = new.read_vocabularies()["ad"].values
    for table in TABLES[: 1 if net == "lr" else 2]:
        unknown = table_row(old, table, "ad", UNKNOWN)
        assert any(unknown), "it must be trained for this test to mean anything"
        for value in ("a-new", "b-new"):
            assert table_row(new, table, "ad", FIRST + ads.index(value)) == unknown


@pytest.mark.parametrize("net", NETS)
def test_its_last_step_alone_is_fitted_and_it_learns(
    make_bundle: Callable[..., Bundle], tmp_path: Path, net: Any
) -> None:
    class Steps(Watcher):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def epoch(self, epoch: Epoch) -> None:
            self.seen.append(epoch.step)

    steps, old, rows = Steps(), make_bundle(net), newer_rows()
    new = go_on(old, tmp_path / "new", rows, STEP, steps)
    assert set(steps.seen) == {net}
    clicks = np.array([row["click"] for row in rows])

    def loss(bundle: Any) -> Any:
        p = scores(bundle, rows).probabilities
        return -np.where(clicks, np.log(p), np.log1p(-p)).mean()

    assert loss(new) < loss(old)


def test_a_row_that_the_new_log_does_not_feed_stays_to_the_bit_whatever_its_penalty(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old = make_bundle("fm")
    strong = STEP.model_copy(update={"l2_embedding": 0.01, "l2_linear": 0.01})
    new = go_on(old, tmp_path / "new", newer_rows(), strong)
    golf = FIRST + values_of(old, "interests").index("golf")
    food = FIRST + values_of(old, "interests").index("food")
    for table in TABLES:
        assert table_row(new, table, "interests", golf) == table_row(old, table, "interests", golf)
        assert table_row(new, table, "interests", food) != table_row(old, table, "interests", food)
        # nobody's device is null, in either log, yet this row holds what training settled it at
        kept = table_row(old, table, "device", MISSING)
        assert table_row(new, table, "device", MISSING) == kept


def test_without_dropped_values_and_without_unknown_ones_their_row_stays_too(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old = make_bundle("fm")
    for rate, stays in ((0.0, True), (0.2, False)):
        step = STEP.model_copy(update={"unknown_rate": rate})
        new = go_on(old, tmp_path / f"new-{rate}", newer_rows(), step)
        row = table_row(new, "embedding", "interests", UNKNOWN)
        assert (row == table_row(old, "embedding", "interests", UNKNOWN)) is stays


def test_calibration_is_fitted_anew(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    old, rows = make_bundle("fm"), newer_rows()
    for row in rows[::2]:
        row["click"] = 0
    new = go_on(old, tmp_path / "new", rows)
    assert new.manifest.calibration.shift < old.manifest.calibration.shift
    clicks = np.mean([row["click"] for row in rows])
    assert scores(new, rows).probabilities.mean() == pytest.approx(clicks, rel=1e-3)


def test_the_manifest_and_the_report_tell_what_grew(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old = make_bundle("fm")
    new = go_on(old, tmp_path / "new", newer_rows())
    described = new.manifest.training
    assert described["from"] == old.version
    assert described["grown"] == {
        "device": {"old": 3, "new": 1},
        "hour": {"old": 24, "new": 0},
        "interests": {"old": 4, "new": 0},
        "ad": {"old": 12, "new": 2},
    }
    report = (new.directory / "report.html").read_text()
    assert f"started from the bundle of version {old.version}." in report
    assert '<tr class="t1"><td>ad</td><td>12</td><td>2</td></tr>' in report
    assert "grown." not in report


@pytest.mark.parametrize("net", ["fm", "afm+"])
def test_a_warm_start_is_held_against_the_bundle_as_it_is_served(
    make_bundle: Callable[..., Bundle], tmp_path: Path, net: str
) -> None:
    old, rows = make_bundle(net), newer_rows()
    new = go_on(old, tmp_path / "new", rows, STEP)
    facts = new.manifest.training["baseline"]
    assert (facts["bundle"], facts["rows"]) == (old.version, len(rows))
    clicks = np.array([row["click"] for row in rows])
    for bundle, figure in ((old, "first"), (new, "last")):
        p = scores(bundle, rows).probabilities
        loss = -np.where(clicks, np.log(p), np.log1p(-p)).mean()
        assert facts[figure] == pytest.approx(loss, abs=1e-5)
    assert f"today&#39;s {net} beats the bundle" in (new.directory / "report.html").read_text(), (
        facts
    )


def test_a_warm_start_of_a_task_without_probabilities_is_held_against_the_bundle_s_scores(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old, rows = make_bundle("fm", task="regression"), newer_rows()
    facts = go_on(old, tmp_path / "new", rows).manifest.training["baseline"]
    clicks = np.array([row["click"] for row in rows])
    rmse = np.sqrt(np.mean((scores(old, rows).predictions - clicks) ** 2))
    assert facts["first"] == pytest.approx(rmse, abs=1e-5)
    assert facts["last"] == facts["first"], "no step was made"


def test_bundle_of_a_warm_start_can_start_another_fit(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    second = go_on(make_bundle("afm"), tmp_path / "second", newer_rows(), STEP)
    third = go_on(second, tmp_path / "third", newer_rows(seed=8), STEP)
    assert third.manifest.training["from"] == second.version
    assert third.manifest.dimensions.rows == second.manifest.dimensions.rows + 1


def test_a_value_seen_once_each_day_is_admitted_on_the_second_but_not_by_a_replay(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    second = go_on(make_bundle("fm"), tmp_path / "second", newer_rows())
    assert "seen once" not in second.read_vocabularies()["ad"].values
    third = go_on(second, tmp_path / "third", newer_rows(seed=8))
    assert third.read_vocabularies()["ad"].values[-1] == "seen once"
    before = as_log(newer_rows(), second.schema)
    again = go_on(second, tmp_path / "again", tiny_rows(seed=8), replay=before, share=0.5)
    # all of them but those that the bundle once held out
    rule = make_bundle("fm").manifest.held_out
    assert len(without_held_out(before, second.schema, rule)) < 600
    assert second.manifest.held_out is None  # it was judged on the rows that it was trained on
    assert again.manifest.training["replayed"] == 600
    assert again.read_vocabularies()["ad"] == second.read_vocabularies()["ad"]


def test_replayed_rows_are_a_seeded_share_of_the_rows_trained_on(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old, rows = make_bundle("fm"), newer_rows()
    before = as_log(tiny_rows(rows=5000, seed=1), old.schema)
    start = WarmStart.open(old.directory).with_replay(before, 0.25)
    new = as_log(rows, old.schema)
    mixed = start.rows(new, old.schema, None, seed=1)
    assert len(mixed) == 800
    assert {name: column[:600] for name, column in mixed.columns.items()} == new.columns
    assert start.rows(new, old.schema, None, seed=1).columns == mixed.columns
    assert start.rows(new, old.schema, None, seed=2).columns != mixed.columns
    bundle = go_on(old, tmp_path / "new", rows, replay=before, share=0.25)
    assert bundle.manifest.training["replayed"] == 200


def test_a_fit_from_a_bundle_repeats_to_the_bit(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old = make_bundle("afm+")
    before = as_log(tiny_rows(), old.schema)
    digests = [
        go_on(old, tmp_path / out, newer_rows(), STEP, replay=before).manifest.files[WEIGHTS]
        for out in ("one", "two")
    ]
    assert digests[0] == digests[1]


# As a user calls it.

CONFIG = "embedding = 4\nattention_size = 4\n[fit]\nepochs = 1\n[attention]\nepochs = 1\n"


def write_csv(path: Any, rows: Any) -> None:
    cells = [
        {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in rows
    ]
    pl.DataFrame(cells, infer_schema_length=None).write_csv(path)


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


def test_a_configuration_that_names_no_net_goes_on_with_the_bundles(
    make_bundle: Callable[..., Bundle],
) -> None:
    config = Config(embedding=4)
    assert config.net != "afm"
    assert completed(config, make_bundle("afm")) == config.model_copy(update={"net": "afm"})
    bundle = make_bundle("ffm")
    size = bundle.manifest.dimensions.embedding
    assert completed(Config(), bundle).ffm_embedding == size
    named = Config(net="fm", ffm_embedding=size + 1)
    assert completed(named, bundle) == named
