"""The rows of the table that no example feeds: kept as they are while the others are trained."""

from collections.abc import Iterator

import torch
from torch import Tensor

from model.encoding import Encoder
from model.nets import Net
from model.nets.net import TABLES
from model.values.ids import UNKNOWN
from training.data.examples import EncodedRows


class KeptRows:
    """Puts back the rows of the table that `train` does not feed, as they are in `net` now.
    `unknown_fed`: whether values are fed as unknown ones too.

    Their gradient is only the L2 penalty's, and of Adam, which scales a gradient to steps of one
    size, that takes a value to 0 within an epoch: a site that a day's log happens to lack would be
    forgotten by night.
    """

    def __init__(
        self, net: Net, encoder: Encoder, train: EncodedRows, *, unknown_fed: bool
    ) -> None:
        fed = train.counts(encoder.rows) > 0
        if unknown_fed:
            fed[torch.from_numpy((encoder.offsets + UNKNOWN)[encoder.droppable])] = True
        self.rows = torch.nonzero(~fed).squeeze(1)
        self._kept = {name: table.detach()[self.rows] for name, table in _tables(net)}

    def __call__(self, net: Net) -> None:
        """In place."""
        with torch.no_grad():
            for name, table in _tables(net):
                table[self.rows] = self._kept[name]


def _tables(net: Net) -> Iterator[tuple[str, Tensor]]:
    return ((name, p) for name, p in net.named_parameters() if name in TABLES)
