"""The networks, and nothing but: parts in the constructor, the formula in `terms`. Needs torch."""

from model.nets.afm import AFM
from model.nets.fm import FM
from model.nets.lr import LR
from model.nets.net import Net, Settings

__all__ = ["AFM", "FM", "LR", "NETS", "Net", "Settings", "build"]

NETS: dict[str, type[Net]] = {"lr": LR, "fm": FM, "afm": AFM}


def build(name: str, rows: int, slots: int, settings: Settings) -> Net:
    """A new net over a table of V = `rows` for F = `slots`."""
    return NETS[name](rows, slots, settings)
