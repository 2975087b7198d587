"""What every net here is: a first-order part, pair terms, and a logit that is their sum.

Shapes: B rows, F slots, K embedding, T attention, P = F(F-1)/2 pairs, V rows of the table.
Pairs lie along the first axis, so that the rows of one pair are one contiguous block.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.nets.dropout import Dropout
from model.pairs import pair_slots


@dataclass(frozen=True)
class Settings:
    """Sizes: `embedding` K, `attention` T; `init_std` is the embeddings' deviation at the start."""

    embedding: int = 16
    attention: int = 16
    init_std: float = 0.05


class Terms(NamedTuple):
    """What a logit is the sum of, its bias aside: linear + attention * interaction.

    `linear` [B, F]: w_i x_i. `interaction` [P, B]: what a pair adds at full attention.
    `attention` [P, B]: a_ij, 0 for a pair with an absent member; None where the net has none, then
    every pair adds its interaction.
    """

    linear: Tensor
    interaction: Tensor
    attention: Tensor | None


class Net(nn.Module, ABC):
    """First-order part shared by all nets: w0 + sum_i w_i x_i.

    Absent slots have x_i = 0, so whatever row their id names takes no part and gets no gradient.
    """

    first: Tensor
    second: Tensor

    def __init__(self, rows: int, slots: int, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.bias = nn.Parameter(torch.zeros(1))
        self.linear = nn.Parameter(torch.zeros(rows, 1))
        first, second = map(torch.from_numpy, pair_slots(slots))
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)

    def terms(self, ids: Tensor, values: Tensor) -> Terms:
        """The terms of the logits of `ids` int64 [B, F] and `values` float32 [B, F]."""
        return Terms(self.linear_terms(ids, values), *self.pair_terms(ids.T, values.T))

    def linear_terms(self, ids: Tensor, values: Tensor) -> Tensor:
        """w_i x_i [B, F]."""
        return functional.embedding(ids, self.linear).squeeze(-1) * values  # (B, F)

    @abstractmethod
    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Interaction and attention, both [P, B], of slot-major `ids` and `values` [F, B]."""

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Logits [B] of `ids` int64 [B, F] and `values` float32 [B, F]."""
        linear, interaction, attention = self.terms(ids, values)
        pairs = interaction if attention is None else attention * interaction  # (P, B)
        return self.bias + linear.sum(1) + pairs.sum(0)


class EmbeddingNet(Net):
    """A net whose pairs are element-wise products of embeddings: e_ij = (v_i x_i) * (v_j x_j)."""

    def __init__(self, rows: int, slots: int, settings: Settings) -> None:
        super().__init__(rows, slots, settings)
        self.embedding = nn.Parameter(torch.randn(rows, settings.embedding) * settings.init_std)
        self.dropout = Dropout(0.0)  # the training loop sets its rate

    def embedded(self, ids: Tensor, values: Tensor) -> Tensor:
        """v_i x_i [F, B, K] of slot-major ids and values [F, B]."""
        return functional.embedding(ids, self.embedding) * values.unsqueeze(-1)  # (F, B, K)

    def pair_vectors(self, embedded: Tensor) -> Tensor:
        """e_ij [P, B, K]: AFM's pair-wise interaction layer (eq. 2), dropout included."""
        pairs = embedded.index_select(0, self.first) * embedded.index_select(0, self.second)
        dropped: Tensor = self.dropout(pairs)
        return dropped  # (P, B, K)
