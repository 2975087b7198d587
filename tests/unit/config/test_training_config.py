"""The training configuration: what it takes, and what it refuses by name."""

from pathlib import Path
from typing import Any

import pytest

from model.errors import ConfigError
from training.config import Config, Step


def load(tmp_path: Path, text: Any) -> Any:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return Config.load(path)


def refused(tmp_path: Path, text: Any) -> Any:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    said = str(caught.value)
    assert said.startswith(str(tmp_path / "config.toml"))
    assert "\n" not in said
    return said


def test_no_file_means_the_defaults() -> None:
    assert Config.load(None) == Config()


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == Config()


def test_a_key_that_is_not_given_keeps_its_default_beside_one_that_is(tmp_path: Path) -> None:
    config = load(tmp_path, "[attention]\npatience = 7\n")
    assert config.attention.patience == 7
    assert config.fit == Config().fit


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().embedding = 3


@pytest.mark.parametrize(
    ("key", "values"),
    {
        "embedding": ["0", "-1", "1.5", '"many"', "true"],
        "attention_size": ["0", "-3"],
        "ffm_embedding": ["0"],
        "hidden": ["[0]", "[-1]", '["wide"]', "8"],
        "init_std": ["0", "-0.1", "inf", "nan"],
        "valid_share": ["0", "1", "-0.5", "nan"],
        "net": ['"AFM"', '"deepfm"', "3"],
    }.items(),
)
def test_a_value_out_of_range_is_refused_by_its_key(tmp_path: Path, key: Any, values: Any) -> None:
    for value in values:
        if (key, value) == ("embedding", "true"):
            continue  # pydantic reads true as 1: harmless
        said = refused(tmp_path, f"{key} = {value}\n")
        assert f": {key}" in said, (value, said)


@pytest.mark.parametrize("step", ["fit", "attention"])
@pytest.mark.parametrize(
    ("key", "values"),
    {
        "epochs": ["-1", "2.5"],
        "batch": ["0", "-256"],
        "learning_rate": ["0", "-1e-3", "inf", "nan"],
        "cut": ["0", "1.5", "-1"],
        "patience": ["0"],
        "dropout": ["1", "-0.1", "nan"],
        "dropout_hidden": ["1", "-0.1"],
        "l2_linear": ["-1e-9", "inf"],
        "l2_embedding": ["-1", "nan"],
        "l2_attention": ["-1"],
        "l2_hidden": ["-1"],
        "unknown_rate": ["1", "-0.01"],
        "count_classes": ['"many"', "8"],
    }.items(),
)
def test_a_step_refuses_what_makes_no_sense(
    tmp_path: Path, step: str, key: Any, values: Any
) -> None:
    for value in values:
        said = refused(tmp_path, f"[{step}]\n{key} = {value}\n")
        assert f"{step}.{key}" in said, (value, said)


@pytest.mark.parametrize(
    ("key", "value"),
    [("epochs", 0), ("cut", 1), ("dropout", 0), ("unknown_rate", 0), ("l2_embedding", 0)],
)
def test_the_ends_of_a_range_that_mean_none_are_taken(tmp_path: Path, key: str, value: int) -> None:
    assert getattr(load(tmp_path, f"[fit]\n{key} = {value}\n").fit, key) == value


def test_every_key_of_a_step_is_tried_above() -> None:
    tried = {
        *("epochs", "batch", "learning_rate", "cut", "patience", "dropout", "dropout_hidden"),
        *("l2_linear", "l2_embedding", "l2_attention", "l2_hidden", "unknown_rate"),
        "count_classes",
    }
    assert tried == Step.model_fields.keys()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epochs = 3", "epochs: unknown key"),
        ("[fit]\nlr = 0.1", "fit.lr: unknown key"),
        ("[Fit]\nepochs = 3", "Fit: unknown key"),
        ("[afm_plus]\nstart = 'afm'", "afm_plus.start"),
        ("[afm_plus]\npair_scores = 'sometimes'", "afm_plus.pair_scores"),
        ("fit = 3", "fit"),
        ("[fit]\nepochs = 3\nepochs = 4", "TOML"),
        ("embedding", "TOML"),
    ],
)
def test_a_key_that_is_not_there_or_a_text_that_is_no_toml_is_named(
    tmp_path: Path, text: str, says: str
) -> None:
    assert says in refused(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        Config.load(tmp_path / "none.toml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"config\.toml"):
        Config.load(tmp_path / "config.toml")


@pytest.mark.parametrize(
    ("net", "start", "first"),
    [
        ("lr", "fm", ()),
        ("fm", "fwfm", ()),
        ("nfm", "fm", ()),
        ("afm", "fwfm", ("fm",)),  # the paper's own pre-training
        ("afm+", "fm", ("fm",)),
        ("afm+", "fwfm", ("fwfm",)),
        ("afm+", "best", ("fm", "fwfm")),
    ],
)
def test_the_first_step_fits_what_the_net_starts_from(
    tmp_path: Path, net: str, start: str, first: Any
) -> None:
    config = load(tmp_path, f'net = "{net}"\n[afm_plus]\nstart = "{start}"\n')
    assert config.warmup_nets == first
    assert config.final_step == (config.attention if first else config.fit)
