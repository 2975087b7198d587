"""The networks, and nothing but: parts in the constructor, the formula in a method. Needs torch."""

from collections.abc import Sequence

from model.nets.afm import AFM
from model.nets.afm_plus import AFMPlus
from model.nets.ffm import FFM
from model.nets.fm import FM
from model.nets.fwfm import FwFM
from model.nets.lr import LR
from model.nets.net import Net, NetSizes
from model.nets.nfm import NFM

__all__ = ["AFM", "FFM", "FM", "LR", "NETS", "NFM", "AFMPlus", "FwFM", "Net", "NetSizes", "build"]

NETS: dict[str, type[Net]] = {
    "lr": LR,
    "fm": FM,
    "fwfm": FwFM,
    "ffm": FFM,
    "nfm": NFM,
    "afm": AFM,
    "afm+": AFMPlus,
}


def build(name: str, rows: int, fields: Sequence[int], settings: NetSizes) -> Net:
    """A new net over a table of V = `rows` for F slots, of which `fields` gives the field."""
    return NETS[name](rows, fields, settings)
