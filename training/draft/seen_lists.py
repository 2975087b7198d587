"""Whether the texts of a column are lists, and what stands between their values.

>>> separator_of(pl.Series(["a|b", "b", "c|a", "a|c|b"] * 9), distinct=4)
'|'
"""

import polars as pl

from model.values.values import members
from training.draft.written_numbers import are_halves

SEPARATED = 0.02  # the share of cells from which a separator is believed


def listed(texts: pl.Series) -> pl.Series | None:
    """Texts as lists of texts, where tools wrote them as such: ["a", "b"]; None where not."""
    if not texts.str.contains(r"^(?:\[.*\]|\{.*\})$").all():
        return None
    parsed = [[str(one) for one in members(cell, "|")] for cell in texts]
    return pl.Series(texts.name, parsed, dtype=pl.List(pl.String))


def separator_of(texts: pl.Series, distinct: int) -> str | None:
    """What cuts many texts, of so many `distinct` ones, into few values which come again in others;
    None where nothing does.
    """
    for mark in "|;,":
        with_mark = texts.filter(texts.str.contains(mark, literal=True))
        if len(with_mark) < SEPARATED * len(texts) or not len(with_mark):
            continue
        if mark == "," and 2 * len(with_mark) > len(texts) and are_halves(with_mark):
            continue
        separator = _spaced(mark, with_mark)
        values = cut(texts, separator).explode().drop_nulls()
        vocabulary = values.n_unique()
        again = vocabulary * 2 <= len(values)
        # prose has commas too, but no small vocabulary between them
        if again and (vocabulary < distinct or (mark == "|" and vocabulary < 100)):
            return separator
    return None


def cut(texts: pl.Series, separator: str) -> pl.Series:
    """Texts as the lists of what stands between the separators."""
    return texts.str.split(separator).list.eval(pl.element().filter(pl.element() != ""))


def _spaced(mark: str, cells: pl.Series) -> str:
    for separator in (f" {mark} ", f"{mark} "):
        spaced = cells.str.count_matches(separator, literal=True)
        if (spaced == cells.str.count_matches(mark, literal=True)).all():
            return separator
    return mark
