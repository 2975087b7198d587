"""What `afm-train tune` searches: for each net the keys of the configuration, and their ranges."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)

from training.config import Config

Space = dict[str, BaseDistribution]  # a dotted key of the configuration -> what it may be
Parameters = dict[str, Any]  # the same keys -> what it is in one trial

# On open boards AFM's AUC spans .946 to .970 over embedding L2, T and the two dropouts, and the
# learning rate moves FM as far; what a penalty weighs differs by orders of magnitude between logs.
LEARNING_RATE, ATTENTION_RATE = (5e-4, 2e-2), (1e-4, 5e-3)
PENALTY, ATTENTION_PENALTY = (1e-7, 2e-3), (1e-6, 1e-1)
DROPOUT = (0.0, 0.7)
EMBEDDINGS, FFM_EMBEDDINGS = (8, 16, 32, 64), (2, 4, 8)
ATTENTION_SIZES, WIDTHS = (8, 16, 32, 64, 128), (32, 64, 128, 256)


def space(config: Config) -> Space:
    """The space of the configured net. A range is widened to hold what `config` says, so that no
    search is worse than where it began; a penalty of 0 counts as the least one.
    """
    wanted: dict[str, tuple[Any, ...]] = {"fit.learning_rate": LEARNING_RATE}
    if config.net == "lr":
        wanted["fit.l2_linear"] = PENALTY
        return _space(config, wanted)
    wanted["fit.l2_embedding"] = PENALTY
    wanted["fit.dropout"] = DROPOUT
    wanted |= (
        {"ffm_embedding": FFM_EMBEDDINGS} if config.net == "ffm" else {"embedding": EMBEDDINGS}
    )
    if config.net == "nfm":
        wanted["fit.dropout_hidden"] = DROPOUT
        if len(config.hidden) == 1:  # several layers stay as they are configured
            wanted["hidden"] = WIDTHS
    if config.net in ("afm", "afm+"):
        wanted["attention_size"] = ATTENTION_SIZES
        wanted["attention.learning_rate"] = ATTENTION_RATE
        wanted["attention.l2_embedding"] = PENALTY
        wanted["attention.dropout"] = DROPOUT
    if config.net == "afm":
        wanted["attention.l2_attention"] = ATTENTION_PENALTY
    if config.net == "afm+":
        wanted["afm_plus.start"] = ("best", "fm", "fwfm")
    return _space(config, wanted)


def default_parameters(config: Config) -> Parameters:
    """The configuration itself as a point of its space: the first trial."""
    return {
        key: max(_value(config, key), distribution.low)
        if isinstance(distribution, FloatDistribution)
        else _value(config, key)
        for key, distribution in space(config).items()
    }


def configured(config: Config, parameters: Mapping[str, Any]) -> Config:
    """`config` with the parameters of a trial in it."""
    dumped = config.model_dump()
    for key, value in parameters.items():
        *parts, last = key.split(".")
        table = dumped
        for part in parts:
            table = table[part]
        table[last] = (value,) if key == "hidden" else value
    return Config.model_validate(dumped)


def _space(config: Config, wanted: Mapping[str, tuple[Any, ...]]) -> Space:
    found: Space = {}
    for key, given in wanted.items():
        value = _value(config, key)
        if isinstance(value, float):
            (low, high), log = given, given is not DROPOUT
            low = min(low, value) if value > 0 else low
            found[key] = FloatDistribution(low, max(high, value), log=log)
        else:
            found[key] = CategoricalDistribution(sorted({*given, value}))
    return found


def _value(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value[0] if key == "hidden" else value
