"""The sections of a report about pairs: which matter, and whether attention shows it."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from model.encoding import Encoder
from model.scorer import Scorer
from model.vocabulary import FieldVocabulary
from training.data.examples import EncodedRows
from training.evaluation.faithfulness import Faithfulness, Removal, faithfulness
from training.evaluation.pair_effects import (
    FieldPairs,
    PairTerms,
    ValuePair,
    by_fields,
    by_values,
    pair_terms,
    sample,
)
from training.report.page import (
    charts,
    element,
    figure,
    joined,
    paragraph,
    section,
    shortened,
    table,
)
from training.report.plots import Series, chart, heat_map

STRONGEST = 20
FEWEST = 20  # rows of a pair of values that is named
REMOVAL_ROWS = 1000


def pairs_section(
    scorer: Scorer,
    encoder: Encoder,
    vocabularies: Mapping[str, FieldVocabulary],
    rows: EncodedRows,
    name: str,
    seed: int,
) -> tuple[Markup, list[str]]:
    """Heat maps by field, the strongest pairs of values, and removals; and the same in words."""
    title, slots = f"Pairs ({name})", len(encoder.schema.slots)
    terms = pair_terms(scorer, sample(rows, slots, seed))
    if terms is None:
        reason = (
            "This net has no terms of single pairs, or its logit is not their sum: it cannot be "
            "said what a pair adds."
        )
        return section(title, paragraph(reason)), []
    fields = by_fields(terms, encoder)
    strongest = by_values(terms, encoder, vocabularies, STRONGEST, FEWEST)
    few = pair_terms(scorer, sample(rows, slots, seed, REMOVAL_ROWS))
    tried = None if few is None else faithfulness(few, seed)
    names = list(encoder.schema.fields)
    parts = [
        paragraph(
            f"Over {len(terms):,} rows. A pair counts where both of its members are there. "
            "Attention is the weight that the net gives to a pair, 1 in all over a row; the "
            "contribution is what the pair adds to the logit, its weighted interaction.",
            class_="note",
        ),
        _heat_maps(names, fields),
        element("h3", "Strongest pairs of values"),
        _strongest(strongest, terms),
    ]
    said = [_field_words(names, fields)]
    if tried is not None:
        parts += [element("h3", "Does attention say which pairs matter?"), _removals(tried)]
        said.append(tried.sentence())
    return section(title, *parts), said


def _heat_maps(names: Sequence[str], fields: FieldPairs) -> Markup:
    contribution = figure(
        "Mean |contribution| by pair of fields",
        heat_map(names, fields.contribution, "mean absolute contribution by pair of fields"),
        f"to the logit; at most {np.nanmax(fields.contribution):.3g}",
    )
    if fields.attention is None:
        return joined(
            [charts(contribution), paragraph("This net has no attention.", class_="note")]
        )
    attention = figure(
        "Mean attention by pair of fields",
        heat_map(names, fields.attention, "mean attention by pair of fields", ratios=True),
        "as a multiple of equal weights, 1 / (pairs of the row): "
        f"{np.nanmin(fields.attention):.3g} to {np.nanmax(fields.attention):.3g}",
        ["more than equal", "less"],
    )
    return charts(attention, contribution)


def _strongest(pairs: Sequence[ValuePair], terms: PairTerms) -> Markup:
    if not pairs:
        return paragraph(f"No pair of values stands in {FEWEST} rows or more.", class_="note")
    attention = terms.attention is not None
    head = ["field", "value", "field", "value", "mean contribution", "rows"]
    rows = [
        [
            pair.fields[0],
            shortened(pair.values[0]),
            pair.fields[1],
            shortened(pair.values[1]),
            f"{pair.contribution:+.3f}",
            f"{pair.rows:,}",
            *([f"{pair.attention:.4f}"] if attention else []),
        ]
        for pair in pairs
    ]
    note = (
        "Largest mean contribution in absolute value, of the pairs that stand together in at least "
        f"{FEWEST} of these rows and in as many as their fields' min_count."
    )
    return joined(
        [
            paragraph(note, class_="note"),
            table([*head, *(["mean attention"] if attention else [])], rows, texts=4),
        ]
    )


def _removals(tried: Faithfulness) -> Markup:
    def series(removal: Removal) -> Series:
        return Series(
            np.arange(1.0, len(removal.mean) + 1), removal.mean, removal.low, removal.high
        )

    curves = {
        "largest contributions of one sign": tried.contributing,
        "most attended": tried.attended,
        "random": tried.random,
    }
    shown = {name: series(one) for name, one in curves.items() if one is not None}
    drawing = chart(
        list(shown.values()),
        "removed pairs",
        "mean |change of the logit|",
        x_range=(0.7, len(tried.random.mean) + 0.3),
        counted=True,
    )
    note = f"{tried.rows:,} rows; bands: 95 % intervals of the mean"
    return joined(
        [
            figure("The logit without its pairs", drawing, note, list(shown), wide=True),
            paragraph(tried.sentence()),
            paragraph(
                "To remove a pair is to subtract its contribution; the other terms stay as they "
                "are. Contributions of both signs cancel, so the upper curve removes those of the "
                "sign that changes the logit more. Attention has no sign: the sum of the "
                "|contributions| shows whether it finds the pairs that matter.",
                class_="note",
            ),
        ]
    )


def _field_words(names: Sequence[str], fields: FieldPairs) -> str:
    def top(cells: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
        lower = np.where(np.tri(len(cells), dtype=bool), cells, np.nan)
        flat = np.nan_to_num(lower, nan=-1.0).ravel()
        order = [i for i in np.argsort(-flat, kind="stable")[:3] if flat[i] > 0]
        at = (divmod(int(i), len(cells)) for i in order)
        return ", ".join(f"{names[j]} × {names[i]}" for i, j in at)

    said = f"Fields whose pairs move the score most: {top(fields.contribution)}."
    if fields.attention is not None:
        said += f" Most attended: {top(fields.attention)}."
    return said
