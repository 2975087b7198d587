"""How a net is fitted: one frozen object, read from a TOML file, each key with a default.

>>> config = Config(net="afm+")
>>> config.warmup_nets, config.attention.epochs
(('fm', 'fwfm'), 20)
>>> Config.load(None) == Config()
True
"""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from model.errors import ConfigError
from model.files.toml_files import parse, read_text

Width = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Penalty = Annotated[float, Field(ge=0)]
Auto = Literal["auto"]
DEVICE = r"^(cpu|cuda(:\d{1,3})?)$"  # as torch calls it
NetName = Literal["lr", "fm", "fwfm", "ffm", "nfm", "afm", "afm+"]
NETS: tuple[NetName, ...] = get_args(NetName)  # model.nets has them too, and torch with it


class Trial(NamedTuple):
    """What the step `fit` is tried with: the penalties on |V|^2 and |w|^2 beside the loss *summed*
    over the rows trained on, the dropout of pair vectors, whether there are count classes, by what
    the learning rate that goes with the batch is multiplied, and by what the batch.
    """

    l2_embedding: float
    l2_linear: float = 0.0
    dropout: float = 0.0
    count_classes: bool = False
    rate: float = 1.0
    batch: int = 1


# Logs of few values a field want the first, logs of many ids that come seldom the second, logs of
# ids that come again and again the last: dropout is noise enough for the larger steps. Where the
# rows held out show no difference beyond chance the first is kept, see `training.fit.steps`.
TRIED = (
    Trial(l2_embedding=5.0),
    Trial(l2_embedding=10.0, l2_linear=3.0),
    Trial(l2_embedding=0.2, dropout=0.5, rate=2.0),
)
# where the log has count classes, in place of the second and before the others
CLASSED = Trial(l2_embedding=10.0, l2_linear=3.0, count_classes=True, rate=3.0, batch=2)
MOST_PENALTY = 5e-4  # however few the rows, where there is no choosing
FEWEST_TO_CHOOSE = 5000  # rows trained on; of fewer, those held out cannot show which is better
FFM_ROW, FFM_SIZES = 128, (4, 16)  # floats of a value's vectors, and the K that they may have
CLASSED_ROW, CLASSED_SIZES = 64, (2, 4)  # the same while its count classes have slots of their own
FOLDED = 4  # times as long are the vectors when the classes are folded into them
SMALLEST_BATCH, LARGEST_BATCH, BATCHES = 256, 4096, 200
SMALL_LOGS_BATCH = 64  # of fewer rows than FEWEST_TO_CHOOSE: they need steps, not long ones
SMALLEST_BATCH_RATE = 2e-3  # the learning rate that goes with the smallest batch


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Step(_Part):
    """One fit of all parameters to its best epoch, by Adam.

    The objective is the weighted *mean* loss + l2_linear |w|^2 + l2_embedding |V|^2 + l2_attention
    |W|^2 + l2_hidden |W_l|^2: squared norms of whole tensors, without a half; of the attention only
    the network's W (the paper's eq. 7), of NFM's layers their weights. For a loss summed over n
    rows, as the paper has it, multiply by n. A net without a part has no penalty on it.

    "auto" is by the number n of rows trained on, see `sized`; the penalties of V and w are then
    chosen by the loss on the rows held out, of a few pairs, see `tried`.
    """

    epochs: int = Field(default=60, ge=0)  # at most; 0 leaves the step out
    batch: Annotated[int, Field(ge=1)] | Auto = "auto"
    learning_rate: Annotated[float, Field(gt=0)] | Auto = "auto"
    cut: float = Field(default=0.5, gt=0, le=1)  # of the learning rate, after an epoch without gain
    patience: int = Field(default=3, ge=1)  # epochs without gain before it ends
    # of pair vectors, or of NFM's pooled one
    dropout: Annotated[float, Field(ge=0, lt=1)] | Auto = "auto"
    dropout_hidden: float = Field(default=0.2, ge=0, lt=1)  # of the outputs of NFM's layers
    l2_linear: Penalty | Auto = "auto"
    l2_embedding: Penalty | Auto = "auto"
    l2_attention: float = Field(default=0.0, ge=0)
    l2_hidden: float = Field(default=0.0, ge=0)
    unknown_rate: float = Field(default=0.02, ge=0, lt=1)  # of the values, fed as unknown ones
    count_classes: bool | Auto = "auto"  # of FFM, see training/fit/step/count_classes.py

    def sized(self, rows: int) -> "SizedStep":
        """With a number for each "auto", for `rows` rows trained on.

        `batch` is the power of two from SMALLEST_BATCH to LARGEST_BATCH of which an epoch has about
        BATCHES or more, of a small log down to SMALL_LOGS_BATCH, and `learning_rate` grows with its
        root, from SMALLEST_BATCH on. `l2_embedding` falls with the rows: a prior says the same of
        the embeddings however many rows there are. A penalty beside the mean loss that stayed would
        weigh more against each of them, until no embedding is worth its cost.
        """
        wanted = 1 << max(rows // BATCHES, 1).bit_length() - 1
        smallest = SMALL_LOGS_BATCH if rows < FEWEST_TO_CHOOSE else SMALLEST_BATCH
        fitting = min(max(wanted, smallest), LARGEST_BATCH)
        batch = fitting if self.batch == "auto" else self.batch
        found = {
            "batch": batch,
            "learning_rate": SMALLEST_BATCH_RATE * max(batch / SMALLEST_BATCH, 1) ** 0.5,
            "l2_embedding": min(TRIED[0].l2_embedding / max(rows, 1), MOST_PENALTY),
            "l2_linear": min(TRIED[0].l2_linear / max(rows, 1), MOST_PENALTY),
            "dropout": TRIED[0].dropout,
            "count_classes": TRIED[0].count_classes,
        }
        given = {key: value for key, value in self.model_dump().items() if value != "auto"}
        return SizedStep(**found | given)

    def tried(self, rows: int, *, classed: bool = False) -> tuple["SizedStep", ...]:
        """The steps of which one is kept by the loss on the rows held out: one for each of TRIED,
        where `l2_embedding` is "auto" and `rows` are enough to choose, else one. `classed`: whether
        the log has count classes.
        """
        if self.l2_embedding != "auto" or rows < FEWEST_TO_CHOOSE:
            return (self.sized(rows),)
        trials = (CLASSED, TRIED[0], TRIED[2]) if classed else TRIED
        return tuple(self._tried(trial, rows) for trial in trials)

    def _tried(self, trial: Trial, rows: int) -> "SizedStep":
        batch = self.batch
        if batch == "auto":
            batch = min(self.sized(rows).batch * trial.batch, LARGEST_BATCH)
        with_batch = self.model_copy(update={"batch": batch})
        one = {
            "learning_rate": with_batch.sized(rows).learning_rate * trial.rate,
            "l2_embedding": trial.l2_embedding / rows,
            "l2_linear": trial.l2_linear / rows,
            "dropout": trial.dropout,
            "count_classes": trial.count_classes,
        }
        given = ("learning_rate", "l2_linear", "dropout", "count_classes")
        kept = {key: getattr(self, key) for key in given if getattr(self, key) != "auto"}
        return with_batch.model_copy(update=one | kept).sized(rows)


class SizedStep(Step):
    """A step whose settings are all numbers."""

    batch: int
    learning_rate: float
    dropout: float
    l2_linear: float
    l2_embedding: float
    count_classes: bool


class AFMPlusParts(_Part):
    """Which parts of afm+ are fitted; one switched off stays as it starts, and all off are FM.

    `start`: the net that the first step fits, which afm+ never ends below on the rows held out;
    "best" fits both and continues with the better one.
    """

    start: Literal["best", "fm", "fwfm"] = "best"
    pair_scores: bool = True  # h, W and b: attention by what the pair is
    field_scores: bool = True  # u: attention by the pair's fields
    field_weights: bool = True  # r: the fields' weights, as in FwFM


class Config(_Part):
    """Sizes of the net, and its steps: `fit`, and for a net with attention `attention` after it.

    `loss` is for task ranking; `calibration` and the two rates of negatives for task click.
    """

    net: NetName = "ffm"
    embedding: int = Field(default=16, ge=1)  # K
    attention_size: int = Field(default=16, ge=1)  # T
    # K of FFM, for each of a value's M vectors; "auto" is by M, see `of_ffm`
    ffm_embedding: Width | Auto = "auto"
    hidden: tuple[Width, ...] = (64,)  # NFM's layers
    afm_plus: AFMPlusParts = AFMPlusParts()
    init_std: float = Field(default=0.05, gt=0)
    valid_share: float = Field(default=0.1, gt=0, lt=1)  # of the log, where no --valid is given
    loss: Literal["pairwise", "listwise"] = "pairwise"  # within groups, see fit/step/losses.py
    calibration: Literal["auto", "none", "temperature", "platt", "isotonic"] = "auto"
    negatives_rate: Rate = 1.0  # of the training part's negatives, drawn by chance
    negatives_kept: Rate = 1.0  # of the negatives, that the logs given hold already
    validation_rows: int = Field(default=5000, ge=0)  # of those held out, kept in the bundle
    optimizer: Literal["adam", "lazy_adam"] = "adam"  # lazy: only of rows that a batch uses
    kernels: bool = True  # compiled ones fit the nets, where Numba can be imported
    device: Annotated[str, Field(pattern=DEVICE)] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"  # of products of matrices, by CUDA
    baseline: bool = True  # whether a net that starts from another is compared with it
    fit: Step = Step()
    attention: Step = Step(learning_rate=1e-3, epochs=20, patience=2)

    @property
    def warmup_nets(self) -> tuple[str, ...]:
        """The nets that the step `fit` fits, the best of which the configured one starts from;
        none where it fits the configured one itself.
        """
        if self.net == "afm":
            return ("fm",)
        if self.net == "afm+":
            return ("fm", "fwfm") if self.afm_plus.start == "best" else (self.afm_plus.start,)
        return ()

    @property
    def final_step(self) -> Step:
        """The step that fits the configured net itself, and ends the fit."""
        return self.attention if self.warmup_nets else self.fit

    def of_ffm(self, fields: int) -> int:
        """K of FFM for M = `fields`: "auto" gives the M vectors of a value FFM_ROW floats or less
        where a K within FFM_SIZES allows it.
        """
        if self.ffm_embedding != "auto":
            return self.ffm_embedding
        least, most = FFM_SIZES
        return min(max(FFM_ROW // fields, least), most)

    def of_classed_ffm(self, fields: int) -> int:
        """K of FFM for M = `fields` while count classes have slots; FOLDED times it when folded."""
        least, most = CLASSED_SIZES
        return min(max(CLASSED_ROW // fields, least), most)

    def settled(self, rows: int, fields: int, fit: SizedStep | None = None) -> "Config":
        """With a number for each "auto", for `rows` rows trained on and M = `fields`. `fit`: what
        was chosen for that step; attention has its penalties of V and w and its dropout, where it
        has none of its own.
        """
        chosen = fit or self.fit.sized(rows)
        of_fit = {key: getattr(chosen, key) for key in ("l2_embedding", "l2_linear", "dropout")}
        unsaid = {key: of_fit[key] for key in of_fit if getattr(self.attention, key) == "auto"}
        attention = self.attention.model_copy(update=unsaid).sized(rows)
        folded = self.ffm_embedding == "auto" and chosen.count_classes
        size = FOLDED * self.of_classed_ffm(fields) if folded else self.of_ffm(fields)
        sizes = {"ffm_embedding": size}
        return self.model_copy(update={"fit": chosen, "attention": attention, **sizes})

    @classmethod
    def load(cls, path: Path | None) -> "Config":
        """Read a configuration file; without one, the defaults.

        Raises:
            ConfigError: unreadable, an unknown key or a bad value; names file, key and value.
        """
        if path is None:
            return cls()
        return parse(cls, read_text(path, ConfigError), str(path), ConfigError)

    def dumps(self) -> str:
        """The text of a file that `load` reads back as this configuration, every key in it."""
        return tomli_w.dumps(self.model_dump(mode="json"))
