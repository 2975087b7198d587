"""Nets of random parameters, and random rows for them."""

from typing import Any

import torch

from model.nets import NetSizes, build

V, F, K, T, B = 40, 6, 5, 4, 9
P = F * (F - 1) // 2
FIELDS = [0, 1, 2, 2, 3, 4]  # the third field has two slots


def random_net(name: Any, fields: Any = FIELDS, seed: Any = 0) -> Any:
    torch.manual_seed(seed)
    settings = NetSizes(embedding=K, attention=T, ffm_embedding=3, hidden=(7, 4))
    net = build(name, V, fields, settings).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.7)
    return net


def random_rows(slots: Any = F, absent: Any = 0.3, seed: Any = 1) -> Any:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, V, (B, slots), generator=generator)
    values = torch.randn(B, slots, generator=generator)
    values[torch.rand(B, slots, generator=generator) < absent] = 0.0
    return ids, values
