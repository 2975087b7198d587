"""What the scoring paths answer, as structs: they are encoded, and the API's document is made of
them.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from model.changes import Alternative

Numbers = list[float | None]


class RowError(msgspec.Struct):
    """Why a row was answered with null, as a problem would say it."""

    row: Annotated[int, Meta(description="Counted from 0.", ge=0)]
    field: Annotated[
        str | None, Meta(description="The schema's name; null where no field is to blame.")
    ]
    code: Annotated[str, Meta(examples=["wrong_type"])]
    detail: str


class _Answer(msgspec.Struct):
    model: Annotated[str, Meta(examples=["ads"])]
    version: Annotated[str, Meta(description="The version that scored this answer.")]
    degraded: Annotated[
        bool,
        Meta(description="Whether values could not be looked up in time, and count as unknown."),
    ]


class PredictAnswer(_Answer):
    """A probability a row, in the order of the rows; where the task has none, a score."""

    probabilities: Annotated[
        Numbers | None,
        Meta(description="Null where the model's task has no probability.", examples=[[0.4]]),
    ]
    scores: Annotated[
        Numbers | UnsetType, Meta(description="Given where `probabilities` is null.")
    ] = UNSET
    errors: Annotated[
        list[RowError] | UnsetType,
        Meta(description="Of the rows that are answered with null; given where `strict` is false."),
    ] = UNSET


class LinearTerm(msgspec.Struct):
    """What one feature adds to the logit by itself."""

    field: str
    value: str | None
    known: Annotated[bool, Meta(description="Whether the value was seen in training.")]
    contribution: float


class PairTerm(msgspec.Struct):
    """What one pair of features adds to the logit: contribution = attention x interaction."""

    fields: Annotated[list[str], Meta(min_length=2, max_length=2)]
    values: Annotated[list[str | None], Meta(min_length=2, max_length=2)]
    attention: Annotated[float | None, Meta(description="Null where the net has no attention.")]
    interaction: float
    contribution: float


class Rest(msgspec.Struct):
    """The sums over the pairs that are not listed."""

    pairs: int
    attention: float | None
    contribution: float


class Explanation(msgspec.Struct):
    """One score taken apart: bias + linear + pairs + rest = logit.

    Where the net is no sum over pairs, `pairs` and `rest` are null and `reason` says why.
    """

    probability: Annotated[float | None, Meta(description="Null where the task has none.")]
    logit: float
    bias: float
    linear: list[LinearTerm]
    pairs: Annotated[list[PairTerm] | None, Meta(description="Null where the net is not additive.")]
    rest: Annotated[Rest | None, Meta(description="Null where `pairs` is.")]
    score: Annotated[
        float | UnsetType, Meta(description="The logit; given where `probability` is null.")
    ] = UNSET
    reason: Annotated[str | UnsetType, Meta(description="Given where `pairs` is null.")] = UNSET


class Profile(msgspec.Struct):
    """Milliseconds of a request by stage, and since its first byte."""

    decode: float
    wait: Annotated[float, Meta(description="For the first turn.")]
    encode: float
    score: float
    write: float
    total: float
    lookup: Annotated[
        float | UnsetType, Meta(description="Of values that stay in Redis, where there are any.")
    ] = UNSET


class ExplainAnswer(_Answer):
    """One explanation a row, in the order of the rows."""

    explanations: list[Explanation | None]
    errors: Annotated[
        list[RowError] | UnsetType,
        Meta(description="Of the rows that are answered with null; given where `strict` is false."),
    ] = UNSET
    profile: Annotated[
        Profile | UnsetType, Meta(description="Given where the query has `profile=true`.")
    ] = UNSET


class LeastChange(msgspec.Struct, omit_defaults=True):
    """The single change after which the candidate leads by the smallest margin."""

    field: str
    value: Alternative
    answer: float
    other: Annotated[float, Meta(description="The best answer of the other candidates then.")]
    given: Annotated[
        Any | UnsetType, Meta(description="What the row's source holds then, where it is no value.")
    ] = UNSET


class WhatIfAnswer(_Answer, kw_only=True):
    """What a candidate would be answered with after single changes, and the least that puts it
    first. An answer is a probability; where the task has none, a score.
    """

    row: Annotated[int, Meta(description="The candidate's place, counted from 0.")]
    answer: Annotated[float, Meta(description="As it is.")]
    first: Annotated[bool, Meta(description="Whether it has the highest answer as it is.")]
    tried: Annotated[int, Meta(description="How many changes were scored.")]
    left_out: Annotated[int, Meta(description="How many rare values were not, for their number.")]
    least: Annotated[LeastChange | None, Meta(description="Null where no change does it.")]
    field: str | UnsetType = UNSET
    values: Annotated[
        list[Alternative] | UnsetType,
        Meta(description="Of the field that was named; null for missing."),
    ] = UNSET
    answers: Annotated[list[float] | UnsetType, Meta(description="One a value.")] = UNSET
    ranks: Annotated[list[int] | UnsetType, Meta(description="Its rank then, from 1.")] = UNSET
    others: Annotated[
        list[float] | UnsetType,
        Meta(description="The best other candidate's answer, one a value; or one for all of them."),
    ] = UNSET
    given: Annotated[
        list[Any] | UnsetType,
        Meta(description="What the row's source holds then, one a value, where it is no value."),
    ] = UNSET
