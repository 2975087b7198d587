"""Where a fit begins: from scratch, or from a bundle. Two classes with the same methods."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from model.held_out import HeldOut
from model.manifest import Calibration
from model.schema import Schema
from model.vocabulary import FieldVocabulary
from training.config import Config
from training.data.log import Log
from training.fit.prepare import sampled, vocabularies_of
from training.fit.step.logits import logits
from training.fit.steps import Steps, Trained, fit_net, new_net
from training.fit.untrained_rows import fill_untrained_rows
from training.state.adam_moments import Moments
from training.state.earlier_ranks import ranks
from training.state.kept_rows import KeptRows
from training.state.warm_start import WarmStart


class Beginning(ABC):
    """What a fit asks of where it begins."""

    is_new: bool  # whether the net is

    @property
    @abstractmethod
    def name(self) -> str:
        """The bundle's version, or empty; a checkpoint is of one beginning."""

    @property
    @abstractmethod
    def moments_given(self) -> bool:
        """Whether Adam's moments continue."""

    @abstractmethod
    def rows(self, log: Log, schema: Schema, rule: HeldOut | None, seed: int) -> Log:
        """The rows to train on, before negatives are sampled; `rule` held out the others."""

    @abstractmethod
    def held_out(self, rule: HeldOut | None) -> HeldOut | None:
        """The rule of the rows that the net has never been trained on; `rule` is this fit's."""

    @abstractmethod
    def vocabularies(
        self, schema: Schema, log: Log, train: Log, config: Config, seed: int
    ) -> Mapping[str, FieldVocabulary]:
        """What each field knows: of `train`, the rows trained on, and `log`, the new ones of them.

        Raises:
            DataError: not a single negative is left.
        """

    @abstractmethod
    def moments(self, vocabularies: Mapping[str, FieldVocabulary]) -> Moments | None:
        """Adam's moments to continue with; None starts anew."""

    @abstractmethod
    def train(self, steps: Steps, vocabularies: Mapping[str, FieldVocabulary]) -> Trained:
        """Run the steps.

        Raises:
            ConfigError: the parameters to continue with are of other sizes.
        """

    @abstractmethod
    def served_by(self, own: Callable[[], Calibration]) -> Calibration:
        """The calibration that the logits before the last step are served with; `own` fits one for
        them on the rows held out.
        """

    @abstractmethod
    def baseline(self, trained: Trained, config: Config) -> dict[str, object]:
        """What the manifest calls the net before the last step."""

    @abstractmethod
    def facts(
        self, fresh: Log, replayed: int, vocabularies: Mapping[str, FieldVocabulary]
    ) -> dict[str, Any]:
        """What the manifest's `training` says of the beginning; `fresh`: the rows trained on
        without the `replayed` ones.
        """


class FromScratch(Beginning):
    """A new net over the vocabularies of the rows trained on."""

    is_new = True
    name = ""
    moments_given = False

    @override
    def rows(self, log: Log, schema: Schema, rule: HeldOut | None, seed: int) -> Log:
        return log

    @override
    def held_out(self, rule: HeldOut | None) -> HeldOut | None:
        return rule

    @override
    def vocabularies(
        self, schema: Schema, log: Log, train: Log, config: Config, seed: int
    ) -> Mapping[str, FieldVocabulary]:
        return vocabularies_of(schema, train)

    @override
    def moments(self, vocabularies: Mapping[str, FieldVocabulary]) -> Moments | None:
        return None

    @override
    def train(self, steps: Steps, vocabularies: Mapping[str, FieldVocabulary]) -> Trained:
        trained = fit_net(steps)
        unknown_fed = steps.config.fit.unknown_rate > 0
        fill_untrained_rows(trained.net, steps.encoder, steps.train, unknown_fed=unknown_fed)
        return trained

    @override
    def served_by(self, own: Callable[[], Calibration]) -> Calibration:
        return own()

    @override
    def baseline(self, trained: Trained, config: Config) -> dict[str, object]:
        return {"net": trained.base, "of": config.warmup_nets}

    @override
    def facts(
        self, fresh: Log, replayed: int, vocabularies: Mapping[str, FieldVocabulary]
    ) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class FromBundle(Beginning):
    """A bundle's net over its vocabularies, grown by the new rows."""

    start: WarmStart
    is_new = False

    @property
    @override
    def name(self) -> str:
        return self.start.bundle.version

    @property
    @override
    def moments_given(self) -> bool:
        return self.start.moments is not None

    @override
    def rows(self, log: Log, schema: Schema, rule: HeldOut | None, seed: int) -> Log:
        return self.start.rows(log, schema, rule, seed)

    @override
    def held_out(self, rule: HeldOut | None) -> HeldOut | None:
        return self.start.held_out(rule)

    @override
    def vocabularies(
        self, schema: Schema, log: Log, train: Log, config: Config, seed: int
    ) -> Mapping[str, FieldVocabulary]:
        return self.start.grow(schema, sampled(log, config, seed))

    @override
    def moments(self, vocabularies: Mapping[str, FieldVocabulary]) -> Moments | None:
        return self.start.grown_moments(vocabularies)

    @override
    def train(self, steps: Steps, vocabularies: Mapping[str, FieldVocabulary]) -> Trained:
        config = steps.config
        net = new_net(config.net, steps.encoder, config)
        self.start.load(net, vocabularies)
        unknown_fed = config.final_step.unknown_rate > 0
        keep = KeptRows(net, steps.encoder, steps.train, unknown_fed=unknown_fed)
        first = logits(net, steps.valid)
        return Trained(net, *steps.last(net, keep), first)

    @override
    def served_by(self, own: Callable[[], Calibration]) -> Calibration:
        return self.start.bundle.manifest.calibration

    @override
    def baseline(self, trained: Trained, config: Config) -> dict[str, object]:
        return {"bundle": self.start.bundle.version}

    @override
    def facts(
        self, fresh: Log, replayed: int, vocabularies: Mapping[str, FieldVocabulary]
    ) -> dict[str, Any]:
        grown = self.start.grown(vocabularies)
        return {
            "from": self.start.bundle.version,
            "replayed": replayed,
            "grown": {name: sizes._asdict() for name, sizes in grown.items()},
            "ranked_by_it": ranks(self.start.bundle, fresh),
        }
