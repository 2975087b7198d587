"""What values that come equally often have in common, in a net whose shape does not show it.

Of an id that came five times little can be learnt; of all the ids that came four to seven times, a
lot. So while FFM is fitted, a field of many rare values has a second slot: the count class of its
value, floor(log2 n) of the n times that it was trained on, with a weight and vectors of its own.

A value has one class for ever, so what the two slots add to a logit is what one slot adds with
longer vectors: `folded` returns that net, of which no score differs. Bundle, service and
explanations know nothing of the classes, and a value's terms hold those of its class.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from model.encoding import Encoder
from model.nets import FFM, Net, NetSizes, build
from model.schema import CategoricalField
from model.values.ids import FIRST, UNKNOWN
from training.data.examples import EncodedRows

State = dict[str, Tensor]  # of one parameter, by Adam's names
Rows = TypeVar("Rows", bound=EncodedRows)

RARE = 32  # a value that was trained on less often is rare
LEAST_RARE = 0.3  # the share of rare values, unknown ones among them, of a field that has classes
MOST_FIELDS = 8  # that have classes, as each is one more slot; those with the most rare values


@dataclass(frozen=True)
class CountClasses:
    """The count classes of G of M fields. `slots`: int64 [G], the slots that they take.

    `places`: int64 [M], the place of each field among the G, -1 where it has no classes. `fields`:
    int64 [V], the field of each row of the encoder's table. `classes`: int64 [V], the row behind
    them that its class has, -1 where it has none. `rows`: of both together.
    """

    encoder: Encoder
    slots: Tensor
    places: Tensor
    fields: Tensor
    classes: Tensor
    rows: int

    @classmethod
    def of(cls, encoder: Encoder, train: EncodedRows) -> "CountClasses | None":
        """The classes by the rows trained on; None where no field has many rare values."""
        fed = train.counts(encoder.rows)
        slot_fields = encoder.slot_fields
        starts = dict(zip(slot_fields, encoder.offsets.tolist(), strict=True))
        ends = dict(zip(starts, [*list(starts.values())[1:], encoder.rows], strict=True))
        shares = {
            number: _rare_share(fed[starts[number] : ends[number]])
            for number, field in enumerate(encoder.schema.fields.values())
            if isinstance(field, CategoricalField)
        }
        most = sorted(shares, key=lambda number: -shares[number])[:MOST_FIELDS]
        chosen = sorted(number for number in most if shares[number] >= LEAST_RARE)
        if not chosen:
            return None
        classes = torch.full((encoder.rows,), -1)
        places = torch.full((len(starts),), -1)
        rows = encoder.rows
        for place, number in enumerate(chosen):
            known = torch.arange(FIRST)  # what stands for no value has classes of its own
            counts = fed[starts[number] + FIRST : ends[number]].clamp_min(1)
            each = torch.cat([known, FIRST + counts.double().log2().long()])
            classes[starts[number] : ends[number]] = rows + each
            places[number] = place
            rows += int(each.max()) + 1
        first_rows = np.array(list(starts.values()))
        fields = np.searchsorted(first_rows, np.arange(encoder.rows), side="right") - 1
        slots = torch.tensor([slot_fields.index(number) for number in chosen])
        return cls(encoder, slots, places, torch.from_numpy(fields), classes, rows)

    def fed(self, rows: Rows) -> Rows:
        """The rows with the slots of the classes behind the others; a class is there with its
        value.
        """

        def change(ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            return self._with_classes(ids), torch.cat([values, values[:, self.slots]], 1)

        return cast(Rows, rows.mapped(change))

    def dropping(self, drop: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """`drop` of the encoder's slots, and the classes of what it leaves."""
        return lambda ids: self._with_classes(drop(ids[:, : -len(self.slots)]))

    def net(self, sizes: NetSizes) -> Net:
        """A new net with the slots of the classes."""
        fields = len(self.places)
        more = range(fields, fields + len(self.slots))
        return build("ffm", self.rows, [*self.encoder.slot_fields, *more], sizes)

    def folded(self, fitted: Net, sizes: NetSizes) -> Net:
        """The net of `net` without the slots of the classes, of the same scores to rounding.

        The vectors of values i and j, of which i's field comes first, hold, for each other's field,
        (i, class of i, i for j's class, class of i for j's class) and (j, j for i's class, class of
        j, class of j for i's class). A value's pair with its own class is in its weight.
        """
        net = build("ffm", self.encoder.rows, self.encoder.slot_fields, sizes)
        given = dict(fitted.named_parameters())
        with torch.no_grad():
            net.bias.copy_(given["bias"])
            net.linear.copy_(self.folded_weights(given["linear"], given["embedding"]))
            cast(FFM, net).embedding.copy_(self.folded_vectors(given["embedding"]))
        return net

    def folded_moments(self, states: Mapping[str, State]) -> dict[str, State]:
        """Adam's moments of a fitted net as those of the folded one: of a vector those of what it
        is made of, of a weight its own.
        """
        rows = len(self.fields)
        folds: dict[str, Callable[[Tensor], Tensor]] = {
            "embedding": self.folded_vectors,
            "linear": lambda linear: linear[:rows].clone(),
        }
        return {
            name: {
                key: folds[name](moment) if name in folds and moment.dim() else moment
                for key, moment in state.items()
            }
            for name, state in states.items()
        }

    def folded_weights(self, linear: Tensor, embedding: Tensor) -> Tensor:
        """[V, 1] of the tables of a net with classes."""
        own, of_class = self._vectors(embedding)
        has = torch.nonzero(self.classes >= 0).squeeze(1)
        fields = self.fields[has]
        places = len(self.places) + self.places[fields]
        weights = linear[: len(self.fields)].clone()
        weights[has] += linear[self.classes[has]]
        weights[has] += (own[has, places] * of_class[has, fields]).sum(1, keepdim=True)
        return weights

    def folded_vectors(self, embedding: Tensor) -> Tensor:
        """[V, M 4 K] of the table of a net with classes."""
        own, of_class = self._vectors(embedding)
        count = len(self.places)
        by_value, by_class = own[:, :count], of_class[:, :count]
        value_by_class, class_by_class = (self._towards_classes(x) for x in (own, of_class))
        first = (self.fields[:, None] < torch.arange(count))[:, :, None]
        blocks = (
            by_value,
            torch.where(first, by_class, value_by_class),
            torch.where(first, value_by_class, by_class),
            class_by_class,
        )
        return torch.cat(blocks, 2).flatten(1)

    def _vectors(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        # those of each value and of its class, [V, M + G, K]; zeros where it has none
        vectors = embedding.view(self.rows, len(self.places) + len(self.slots), -1)
        has = (self.classes >= 0)[:, None, None]
        of_class = torch.where(has, vectors[self.classes.clamp_min(0)], 0.0)
        return vectors[: len(self.fields)], of_class

    def _towards_classes(self, vectors: Tensor) -> Tensor:
        # for each field the vector that meets its classes [V, M, K]; zeros where it has none
        count = len(self.places)
        met = vectors[:, count + self.places.clamp_min(0)]
        return torch.where((self.places >= 0)[:, None], met, 0.0)

    def _with_classes(self, ids: Tensor) -> Tensor:
        return torch.cat([ids, self.classes[ids[:, self.slots]]], 1)


def _rare_share(fed: Tensor) -> float:
    # of how often each row of a field is fed: the share of rare values, and of unknown ones
    known = fed[FIRST:]
    rare = fed[UNKNOWN] + known[known < RARE].sum()
    return float(rare) / max(int(fed.sum()), 1)
