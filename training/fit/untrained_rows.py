"""Rows of the table that training never fed: given a value that makes sense instead of noise.

A log without a single null, say, never trains the row of a missing value, and the first null that
the service sees would be scored by whatever the row began as.
"""

import torch

from model.encoding import Encoder
from model.nets import Net
from model.nets.net import TABLES
from model.schema import NumericField
from model.values.ids import FIRST, MISSING, UNKNOWN
from training.data.examples import EncodedRows


def fill_untrained_rows(
    net: Net, encoder: Encoder, train: EncodedRows, *, unknown_fed: bool
) -> None:
    """Set the never-fed rows of each field, in place.

    unknown: the mean of the field's values, each as often as it was seen. missing, and a bucket
    without a value: the unknown row, as nothing is known of them; a number that is missing adds
    nothing. `unknown_fed`: whether training fed values as unknown ones, beside those that are.
    """
    fed = train.counts(encoder.rows).double()
    tables = [p for name, p in net.named_parameters() if name in TABLES]
    offsets = dict(zip(encoder.schema.slots, encoder.offsets.tolist(), strict=True))
    ends = [*list(offsets.values())[1:], encoder.rows]
    with torch.no_grad():
        for (name, offset), end in zip(offsets.items(), ends, strict=True):
            missing, unknown = offset + MISSING, offset + UNKNOWN
            described = encoder.schema.fields[name]
            number = isinstance(described, NumericField)
            seen = fed[offset + FIRST : end]
            for table in tables:
                if not (number or unknown_fed or fed[unknown]):
                    share = (seen / seen.sum().clamp_min(1)).to(table.dtype)
                    table[unknown] = share @ table[offset + FIRST : end]
                if getattr(described, "buckets", None):  # a value that is new may fall into one
                    table[offset + FIRST : end][seen == 0] = table[unknown]
                if not fed[missing]:
                    table[missing] = 0.0 if number else table[unknown]
