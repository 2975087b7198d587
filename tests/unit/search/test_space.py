"""What a search may choose: ranges, the first point, and a point as a configuration."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from model.errors import ConfigError
from training.config import NETS, Config
from training.search.space import configured, default_parameters, space


def settled(**given: Any) -> Any:
    """A configuration as `tune` searches from it: with a number for each "auto"."""
    return Config.model_validate(given).settled(1000, 5)


@pytest.mark.parametrize("net", NETS)
def test_the_configuration_itself_lies_in_its_space(net: Any) -> None:
    config = settled(net=net)
    begun = default_parameters(config)
    assert begun.keys() == space(config).keys()
    for key, distribution in space(config).items():
        assert distribution._contains(distribution.to_internal_repr(begun[key])), key


@pytest.mark.parametrize("net", NETS)
def test_every_point_of_the_space_is_a_configuration(net: Any) -> None:
    config = settled(net=net)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(30):
        drawn = study.ask(space(config)).params
        chosen = configured(config, drawn)
        assert chosen.net == net
        assert Config.model_validate(chosen.model_dump()) == chosen


def test_the_first_point_changes_nothing_but_penalties_of_0() -> None:
    config = settled(net="afm")
    changed = {"attention": config.attention.model_copy(update={"l2_attention": 1e-6})}
    found = configured(config, default_parameters(config))
    assert found.model_dump() == config.model_copy(update=changed).model_dump()


@pytest.mark.parametrize(
    ("net", "has", "has_not"),
    [
        ("lr", {"fit.l2_linear"}, {"embedding", "fit.l2_embedding", "attention.dropout"}),
        ("fm", {"embedding", "fit.dropout"}, {"attention_size", "attention.learning_rate"}),
        ("ffm", {"ffm_embedding"}, {"embedding"}),
        ("nfm", {"hidden", "fit.dropout_hidden"}, {"attention_size"}),
        ("afm", {"attention_size", "attention.l2_attention"}, {"afm_plus.start", "hidden"}),
        ("afm+", {"attention_size", "afm_plus.start"}, {"attention.l2_attention"}),
    ],
)
def test_a_net_is_searched_for_what_it_has(net: str, has: Any, has_not: Any) -> None:
    keys = space(settled(net=net)).keys()
    assert has <= keys
    assert not has_not & keys


def test_a_range_is_widened_to_hold_what_the_configuration_says() -> None:
    given = {"fit": {"learning_rate": 0.5, "l2_embedding": 1e-9}, "embedding": 7}
    found: Any = space(settled(**{"net": "fm", **given}))
    assert found["fit.learning_rate"].high == 0.5
    assert found["fit.l2_embedding"].low == 1e-9
    assert 7 in found["embedding"].choices


def test_penalties_and_rates_are_drawn_by_their_logarithm_and_dropout_is_not() -> None:
    found = space(settled(net="afm"))
    logarithmic = {k for k, d in found.items() if isinstance(d, FloatDistribution) and d.log}
    assert {"fit.learning_rate", "fit.l2_embedding", "attention.l2_attention"} <= logarithmic
    assert not {"fit.dropout", "attention.dropout"} & logarithmic


def test_several_layers_of_nfm_stay_as_they_are() -> None:
    config = settled(net="nfm", hidden=(32, 16))
    assert "hidden" not in space(config)
    assert configured(config, default_parameters(config)).hidden == (32, 16)


def test_sizes_are_choices_and_come_back_as_they_are() -> None:
    found = space(settled(net="nfm"))
    assert isinstance(found["hidden"], CategoricalDistribution)
    assert configured(settled(net="nfm"), {"hidden": 128, "embedding": 64}).hidden == (128,)


@pytest.mark.parametrize("net", NETS)
def test_a_configuration_written_is_read_back_equal(net: Any, tmp_path: Path) -> None:
    path = tmp_path / "best.toml"
    config = configured(settled(net=net), default_parameters(settled(net=net)))
    path.write_text(config.dumps())
    assert Config.load(path) == config


def test_a_configuration_with_every_kind_of_value_is_read_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "best.toml"
    given = {"hidden": (8, 4), "baseline": False, "afm_plus": {"start": "fwfm"}, "init_std": 1e-7}
    config = Config.model_validate(given)
    path.write_text(config.dumps())
    assert Config.load(path) == config
    path.write_text(config.dumps() + "\nother = 1\n")
    with pytest.raises(ConfigError, match="other"):
        Config.load(path)
