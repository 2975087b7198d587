"""Going on from a bundle on newer rows: grown vocabularies, its parameters, a replay of old rows.

A vocabulary grows only at its end, so that an id within a field means one value for ever; scales
and bins stay as they were, since other ones would move the scores of all old rows at once. A new
value's row begins as the trained unknown row, which is what scored it until then. So the net that
the first step begins with scores every row exactly as the bundle's net does.

The optimiser starts anew, or from what `fit --keep-optimiser` left beside the bundle: its
moments of a value follow its row, and those of a new value begin at 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.bundle.bundle import Bundle
from model.bundle.files import PREDICT, WEIGHTS
from model.bundle.graph_files import PREFIX, read_parameters
from model.errors import BundleError, ConfigError
from model.held_out import HeldOut, common
from model.manifest import Manifest
from model.nets import Net
from model.nets.net import TABLES
from model.schema import Schema
from model.values.ids import UNKNOWN
from model.vocabulary import FieldVocabulary, Vocabulary
from training.columns.learn import grown
from training.config import Config
from training.data.log import Log
from training.data.parts import sample, without_held_out
from training.state.adam_moments import Moments, Stored, read_moments

FREE = ("role", "min_count", "separator")  # settings of a field that change no id and no weight
REPLAY_SHARE = 0.2


class Grown(NamedTuple):
    """A field's vocabulary: how many values the bundle had, and how many came to them."""

    old: int
    new: int


@dataclass(frozen=True)
class WarmStart:
    """A bundle to start from.

    `parameters`: by their names in the net. `replay`: older rows, of which a sample makes up
    `replay_share` of the rows trained on; all of them where there are too few. `moments`: Adam's,
    None where it is to start anew.
    """

    bundle: Bundle
    parameters: Mapping[str, NDArray[np.float32]]
    replay: Log | None = None
    replay_share: float = REPLAY_SHARE
    moments: Stored | None = None
    vocabularies: Mapping[str, FieldVocabulary] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabularies", self.bundle.read_vocabularies())

    @classmethod
    def open(cls, directory: Path) -> "WarmStart":
        """Open a bundle with its parameters.

        Raises:
            BundleError: damaged, or its vocabularies are not of its schema's kinds.
        """
        bundle = Bundle.open(directory)
        try:
            bundle.read_encoder()
        except TypeError as error:
            raise BundleError(f"{directory}: {error}") from error
        found = read_parameters(directory / PREDICT, directory / WEIGHTS)
        return cls(bundle, {name.removeprefix(PREFIX): array for name, array in found.items()})

    def with_replay(self, log: Log | None, share: float = REPLAY_SHARE) -> "WarmStart":
        """The same with older rows to mix in.

        Raises:
            ConfigError: a share outside 0..1.
        """
        if not 0 < share < 1:
            raise ConfigError(f"--replay-share {share:g}: must lie between 0 and 1")
        return replace(self, replay=log, replay_share=share)

    def with_optimiser(self, path: Path) -> "WarmStart":
        """The same with Adam's moments, from the file that was kept beside the bundle.

        Raises:
            ConfigError: not such a file, or not of this bundle.
        """
        moments = read_moments(path, self.bundle.version)
        for name, state in moments.items():
            parameter = self.parameters.get(name)
            shapes = {array.shape for key, array in state.items() if key != "step"}
            if parameter is None or shapes != {parameter.shape}:
                raise ConfigError(f"--optimiser {path}: {name} is not the bundle's")
        return replace(self, moments=moments)

    def config(self) -> Config:
        """The configuration that the bundle was fitted by, in memory: the next fit may be on
        another machine.

        Raises:
            BundleError: it has none that this version reads.
        """
        try:
            found = Config.model_validate(self.bundle.manifest.training.get("config"))
        except ValueError as error:
            raise BundleError(
                f"{self.bundle.directory}: no configuration that can be read; give --config"
            ) from error
        return found.model_copy(update={"device": "cpu", "precision": "float32"})

    def check(self, schema: Schema, config: Config) -> None:
        """Refuse what the bundle's parameters cannot be trained further with.

        Raises:
            ConfigError: another net, or one of other sizes.
            BundleError: another task, other fields, or a field that encodes otherwise.
        """
        where = self.bundle.directory
        if config.net != self.bundle.manifest.net:
            raise ConfigError(
                f"--from {where}: holds the net {self.bundle.manifest.net}, and the configuration "
                f"asks for {config.net}"
            )
        known = self.bundle.schema
        if schema.task != known.task:
            raise BundleError(f"{where}: its task is {known.task}, the schema has {schema.task}")
        for name in [*known.fields, *schema.fields]:
            if name not in schema.fields or name not in known.fields:
                owner = "the bundle" if name in known.fields else "the schema"
                raise BundleError(f"{where}: field {name!r}: only {owner} has it")
        if list(schema.fields) != list(known.fields):
            raise BundleError(f"{where}: its fields stand in another order than the schema's")
        for name, described in schema.fields.items():
            given, held = described.model_dump(), known.fields[name].model_dump()
            for key in ("kind", *given):
                if key not in FREE and given[key] != held[key]:
                    raise BundleError(
                        f"{where}: field {name!r}: {key} is {held[key]} there, "
                        f"{given[key]} in the schema"
                    )

    def rows(self, train: Log, schema: Schema, rule: HeldOut | None, seed: int) -> Log:
        """The rows to train on: the new ones, and the sample of old ones after them, of which
        neither the bundle nor `rule`, that of this fit, held out any.
        """
        old = self.replayed(len(train), schema, rule, seed)
        return train if old is None else train.joined(old)

    def replayed(self, new: int, schema: Schema, rule: HeldOut | None, seed: int) -> Log | None:
        """The sample of old rows beside so many `new` ones, see `rows`; None without a replay."""
        if self.replay is None:
            return None
        wanted = round(new * self.replay_share / (1 - self.replay_share))
        old = without_held_out(self.replay, schema, self.bundle.manifest.held_out, rule)
        return sample(old, wanted, seed)

    def held_out(self, rule: HeldOut | None) -> HeldOut | None:
        """The rule of what neither the bundle nor this fit, of `rule`, was trained on."""
        return common(self.bundle.manifest.held_out, rule)

    def grow(self, schema: Schema, fresh: Log) -> dict[str, FieldVocabulary]:
        """What each field knows after the new rows that are trained on."""
        return grown(schema, self.vocabularies, fresh.columns)

    def grown(self, vocabularies: Mapping[str, FieldVocabulary]) -> dict[str, Grown]:
        """What came to each field that has a vocabulary."""
        return {
            name: Grown(len(old.values), vocabularies[name].size - old.size)
            for name, old in self.vocabularies.items()
            if isinstance(old, Vocabulary)
        }

    def summary(self, manifest: Manifest, config: Config) -> str:
        """What a fit from this bundle came to, in lines for people."""
        training = manifest.training
        left_out = "; only its last step, attention" if config.warmup_nets else ""
        lines = [f"from: {config.net}, version {training['from']}{left_out}"]
        if self.replay is not None:
            lines.append(f"replayed: {training['replayed']:,} rows of {self.replay.source}")
        grown = {name: Grown(**sizes) for name, sizes in training["grown"].items()}
        came = [f"{name} {field.old:,} + {field.new:,}" for name, field in grown.items()]
        lines.append(f"grown: {', '.join(came) or 'nothing, as no field has a vocabulary'}")
        if self.moments is not None:
            lines.append("optimiser: its state was continued")
        return "\n".join(lines)

    def load(self, net: Net, vocabularies: Mapping[str, FieldVocabulary]) -> None:
        """Set the parameters of `net`, built over the grown `vocabularies`, in place.

        Raises:
            ConfigError: the net has a parameter that the bundle has not, or of another shape.
        """
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                stored = self.parameters.get(name)
                if stored is not None and name in TABLES:
                    stored = self._grown_table(stored, vocabularies)
                if stored is None or stored.shape != tuple(parameter.shape):
                    found = "absent" if stored is None else f"of shape {stored.shape}"
                    raise ConfigError(
                        f"--from {self.bundle.directory}: parameter {name} is {found}, the "
                        f"configuration asks for {tuple(parameter.shape)}"
                    )
                parameter.copy_(torch.from_numpy(stored))

    def grown_moments(self, vocabularies: Mapping[str, FieldVocabulary]) -> Moments | None:
        """Adam's moments for a net built over the grown `vocabularies`; None if it starts anew."""
        if self.moments is None:
            return None
        return Moments(
            {
                name: {
                    key: array
                    if key == "step" or name not in TABLES
                    else self._grown_table(array, vocabularies, still=True)
                    for key, array in state.items()
                }
                for name, state in self.moments.items()
            }
        )

    def _grown_table(
        self,
        table: NDArray[np.float32],
        vocabularies: Mapping[str, FieldVocabulary],
        *,
        still: bool = False,
    ) -> NDArray[np.float32]:
        # field by field: its rows as they are, and for each new value a copy of its unknown one, or
        # zeros if `still`
        start, parts = 0, []
        for name, old in self.vocabularies.items():
            rows = table[start : start + old.size]
            new = rows[UNKNOWN : UNKNOWN + 1] * np.float32(not still)
            parts += [rows, np.repeat(new, vocabularies[name].size - old.size, axis=0)]
            start += old.size
        return np.concatenate(parts)


def completed(config: Config, bundle: Bundle) -> Config:
    """`config` with the net of the bundle that the fit continues, and its size, where it says
    neither: a default of a later version must not end a chain of days.
    """
    own: dict[str, object] = {"net": bundle.manifest.net}
    if bundle.manifest.net == "ffm":
        own["ffm_embedding"] = bundle.manifest.dimensions.embedding
    return config.model_copy(
        update={key: own[key] for key in own if key not in config.model_fields_set}
    )
