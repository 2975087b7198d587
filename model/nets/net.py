"""What every net here is: a first-order part, and what pairs of features add to it.

Shapes: B rows, F slots of M fields, K embedding, T attention, P = F(F-1)/2 pairs, V rows of the
table. Pairs lie along the first axis, so that the rows of one pair are one contiguous block.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.nets.dropout import Dropout
from model.pairs import pair_slots

TABLES = ("linear", "embedding")  # the parameters with a row a value


@dataclass(frozen=True)
class NetSizes:
    """Sizes: `embedding` K, `attention` T; `init_std` is the embeddings' deviation at the start.

    `ffm_embedding`: FFM's K, for each of M vectors a value. `hidden`: the widths of NFM's layers.
    `field_scores`, `field_weights`, `pair_scores`: which parts of afm+ are fitted.
    """

    embedding: int = 16
    attention: int = 16
    init_std: float = 0.05
    ffm_embedding: int = 4
    hidden: tuple[int, ...] = (64,)
    field_scores: bool = True
    field_weights: bool = True
    pair_scores: bool = True


class NetTerms(NamedTuple):
    """What a logit is the sum of, its bias aside: linear + attention * interaction.

    `linear` [B, F]: w_i x_i. `interaction` [P, B]: what a pair adds at full attention; None where
    the net is no sum over pairs, and then only the linear terms can be shown one by one.
    `attention` [P, B]: a_ij, 0 for a pair with an absent member; None where the net has none, then
    every pair adds its interaction.
    """

    linear: Tensor
    interaction: Tensor | None
    attention: Tensor | None


class SlotTensors(NamedTuple):
    """One context (n = 1, S = C slots), or its N ads (n = N, S = A slots).

    `ids`, `values` [S, n]; `fields` [S] the field of each slot; `first`, `second` [P] the pairs
    within the side, by its own slots, and `field_pair` [P] the field pair of each.
    """

    ids: Tensor
    values: Tensor
    fields: Tensor
    first: Tensor
    second: Tensor
    field_pair: Tensor

    @property
    def present(self) -> Tensor:
        """Which slots hold a feature [S, n]."""
        return self.values != 0

    def pairs_of(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """What each pair's first and second slot has of `slots` [S, ...], both [P, ...]."""
        return slots.index_select(0, self.first), slots.index_select(0, self.second)


class Net(nn.Module, ABC):
    """First-order part shared by all nets: w0 + sum_i w_i x_i, over a table of V = `rows`.

    `fields` is the field of each of the F slots, counted from 0. Absent slots have x_i = 0, so
    whatever row their id names takes no part and gets no gradient.
    """

    first: Tensor
    second: Tensor
    field_pair: Tensor

    def __init__(self, rows: int, fields: Sequence[int], settings: NetSizes) -> None:
        super().__init__()
        self.settings = settings
        self.slot_fields = tuple(fields)
        self.bias = nn.Parameter(torch.zeros(1))
        self.linear = nn.Parameter(torch.zeros(rows, 1))
        slot_fields = np.array(fields, dtype=np.int64)
        first, second = pair_slots(len(slot_fields))
        self.fields = int(slot_fields.max()) + 1  # M
        pairs = field_pair_of(slot_fields[first], slot_fields[second])
        for name, table in (("first", first), ("second", second), ("field_pair", pairs)):
            self.register_buffer(name, torch.from_numpy(table), persistent=False)

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Logits [B] of `ids` int64 [B, F] and `values` float32 [B, F]."""
        first_order = self.bias + close_sum(self.linear_terms(ids, values), 1)  # (B)
        return first_order + self.second_order(ids.T, values.T)

    def terms(self, ids: Tensor, values: Tensor) -> NetTerms:
        """The terms of the logits of `ids` int64 [B, F] and `values` float32 [B, F]."""
        return NetTerms(self.linear_terms(ids, values), *self.pair_terms(ids.T, values.T))

    def linear_terms(self, ids: Tensor, values: Tensor) -> Tensor:
        """w_i x_i [B, F]."""
        return functional.embedding(ids, self.linear).squeeze(-1) * values  # (B, F)

    @abstractmethod
    def second_order(self, ids: Tensor, values: Tensor) -> Tensor:
        """What the logits have beside the first-order part [B]; `ids`, `values` are [F, B]."""

    @abstractmethod
    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Interaction and attention of slot-major `ids` and `values` [F, B]; see `NetTerms`."""

    @abstractmethod
    def ad_partials(self, ads: SlotTensors) -> Tensor:
        """What `rank_second_order` needs of each ad whatever its context is [N, D], to be kept from
        request to request.
        """

    @abstractmethod
    def rank_second_order(
        self, context: SlotTensors, ads: SlotTensors, ad_partials: Tensor, cross: Tensor
    ) -> Tensor:
        """`second_order` [N] of one context with N ads, in a form that does the context's share of
        the work once, and the ads' own not at all. `cross` [A, C]: the field pair of each slot of
        the ads with each of the context.
        """

    def start_from(self, fitted: "Net", ids: Tensor, values: Tensor) -> None:  # noqa: ARG002  what some nets set their scales by
        """Take over all that the `fitted` net has as well; `ids` and `values` [B, F] are a
        sample of the rows.
        """
        self.load_state_dict(fitted.state_dict(), strict=False)

    def penalised(self) -> dict[str, list[Tensor]]:
        """The parameters that each L2 penalty of a training step is on, by the penalty's key."""
        return {"l2_linear": [self.linear]}

    def dropouts(self) -> dict[str, Dropout]:
        """The dropout layers that a training step sets the rates of, by the rate's key."""
        return {}

    @property
    def sizes(self) -> dict[str, int]:
        """`embedding` K and `attention` T as the bundle's manifest has them, 0 where none."""
        return {"embedding": 0, "attention": 0}


class EmbeddingNet(Net):
    """A net over one embedding v_i a value, and dropout on what its pairs make of them."""

    def __init__(self, rows: int, fields: Sequence[int], settings: NetSizes) -> None:
        super().__init__(rows, fields, settings)
        self.embedding = nn.Parameter(torch.randn(rows, self.width) * settings.init_std)
        self.dropout = Dropout(0.0)  # the training loop sets its rate

    @property
    def width(self) -> int:
        """Columns of the table: K."""
        return self.settings.embedding

    def embedded(self, ids: Tensor, values: Tensor) -> Tensor:
        """v_i x_i [F, B, K] of slot-major ids and values [F, B]."""
        return functional.embedding(ids, self.embedding) * values.unsqueeze(-1)  # (F, B, K)

    def pooled(self, vectors: Tensor) -> Tensor:
        """sum_{i<j} e_ij [B, K] of v_i x_i [F, B, K], from F vectors instead of P (Rendle, ICDM
        2010, lemma 3.1): ((sum_i v_i x_i)^2 - sum_i (v_i x_i)^2) / 2.

        The two squares are close to each other, so what float32 loses of them is much of their
        difference. Training has noise enough, and does without the float64 that mends it.
        """
        wide = vectors if self.training else vectors.double()
        pool = (wide.sum(0).square() - wide.square().sum(0)) / 2
        return pool.to(vectors.dtype)  # (B, K)

    def penalised(self) -> dict[str, list[Tensor]]:
        """See `Net`."""
        return super().penalised() | {"l2_embedding": [self.embedding]}

    def dropouts(self) -> dict[str, Dropout]:
        """See `Net`."""
        return {"dropout": self.dropout}

    @property
    def sizes(self) -> dict[str, int]:
        """See `Net`."""
        return {"embedding": self.settings.embedding, "attention": 0}


class PairNet(EmbeddingNet):
    """A net that is a sum over pairs of products of embeddings: e_ij = (v_i x_i) * (v_j x_j)."""

    @abstractmethod
    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Interaction and attention, both [P, B], of slot-major `ids` and `values` [F, B]."""

    def second_order(self, ids: Tensor, values: Tensor) -> Tensor:
        """sum_ij a_ij interaction_ij [B]."""
        interaction, attention = self.pair_terms(ids, values)
        pairs = interaction if attention is None else attention * interaction  # (P, B)
        return close_sum(pairs, 0)

    def pair_vectors(self, embedded: Tensor) -> Tensor:
        """e_ij [P, B, K]: AFM's pair-wise interaction layer (eq. 2), dropout included."""
        pairs = embedded.index_select(0, self.first) * embedded.index_select(0, self.second)
        dropped: Tensor = self.dropout(pairs)
        return dropped  # (P, B, K)


def close_sum(x: Tensor, *axes: int) -> Tensor:
    """The sum of x along the `axes`, one after the other, rounded once at the end.

    Of many terms that nearly cancel, or whose sum will nearly cancel with another, what float32
    adds up would be the largest error of a logit. And it would be another one beside other rows:
    onnxruntime adds in an order that depends on how many rows there are, and on where in memory a
    row begins. In float64 the order moves the sum by so little that float32 does not show it.
    """
    wide = x.double()
    for axis in axes:
        wide = wide.sum(axis, keepdim=True)
    return wide.squeeze(axes).to(x.dtype)


def field_pairs(fields: int) -> int:
    """How many unordered pairs of M `fields` there are, those of a field with itself included:
    two values of one multi-valued field are a pair too.
    """
    return fields * (fields + 1) // 2


def field_pair_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The place of each pair of fields among `field_pairs`, whichever of the two comes first."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    place: np.ndarray = high * (high + 1) // 2 + low
    return place
