"""What the scoring paths are asked, for the API's document: nothing is decoded by these."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.scoring.payloads import DEFAULT_TOP, Timeout, Top

Row = Annotated[
    dict[str, Any],
    Meta(
        description="One value a field: a string, a number, a boolean or null; a list of strings "
        "for a field of several values. A key that no field names is ignored and counted. A value "
        "that was not seen in training is scored as unknown: it is no error."
    ),
]


class _Options(msgspec.Struct, kw_only=True):
    timeout_ms: Annotated[
        Timeout | UnsetType,
        Meta(
            description="The answer is 504 once so many milliseconds have passed; null, or left "
            "out: the service's default."
        ),
    ] = UNSET
    strict: Annotated[
        bool | UnsetType,
        Meta(
            description="Whether a row that cannot be scored fails the request (422). If false, "
            "its answer is null and `errors` says why. Left out: true."
        ),
    ] = UNSET


_Top = Annotated[
    Top | UnsetType,
    Meta(
        description="How many pairs of a row are listed, largest contribution first; null for all. "
        f"Left out: {DEFAULT_TOP}."
    ),
]


class InstancesRequest(_Options, kw_only=True, forbid_unknown_fields=True):
    """Rows that are complete by themselves."""

    instances: Annotated[list[Row], Meta(min_length=1)]


class CandidatesRequest(_Options, kw_only=True, forbid_unknown_fields=True):
    """One context with N candidates. A field may stand in either; a candidate's value wins."""

    context: Row
    candidates: Annotated[list[Row], Meta(min_length=1)]


class AuctionRequest(_Options, kw_only=True, forbid_unknown_fields=True):
    """An OpenRTB bid request, read by the paths that the schema's fields have as their sources."""

    bid_request: Annotated[dict[str, Any], Meta(description="OpenRTB 2.6, as it came.")]
    candidates: Annotated[
        Annotated[list[Row], Meta(min_length=1)] | UnsetType,
        Meta(description="Left out: the bid request's `imp`."),
    ] = UNSET
    context: Annotated[
        Row | UnsetType, Meta(description="What the bid request lacks; its keys go first.")
    ] = UNSET


class ExplainInstancesRequest(InstancesRequest, kw_only=True, forbid_unknown_fields=True):
    """Rows to explain."""

    top: _Top = UNSET


class ExplainCandidatesRequest(CandidatesRequest, kw_only=True, forbid_unknown_fields=True):
    """A context with candidates to explain."""

    top: _Top = UNSET


class ExplainAuctionRequest(AuctionRequest, kw_only=True, forbid_unknown_fields=True):
    """A bid request to explain."""

    top: _Top = UNSET


_Place = Annotated[
    Annotated[int, Meta(ge=0)] | UnsetType,
    Meta(description="The place of the row that is changed, from 0. Left out: 0."),
]
_Field = Annotated[
    str | UnsetType | None,
    Meta(
        description="The field whose values are listed; null, or left out: none is, and all are "
        "tried for the least change."
    ),
]


class WhatIfInstancesRequest(InstancesRequest, kw_only=True, forbid_unknown_fields=True):
    """Rows, of which one is changed."""

    row: _Place = UNSET
    field: _Field = UNSET


class WhatIfCandidatesRequest(CandidatesRequest, kw_only=True, forbid_unknown_fields=True):
    """A context with candidates, of which one is changed."""

    row: _Place = UNSET
    field: _Field = UNSET


class WhatIfAuctionRequest(AuctionRequest, kw_only=True, forbid_unknown_fields=True):
    """A bid request, of which one candidate is changed."""

    row: _Place = UNSET
    field: _Field = UNSET
