"""What the paths of health and operation answer, and problems, as the API's document has them."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType


class Alive(msgspec.Struct):
    """The process lives."""

    status: Annotated[str, Meta(examples=["alive"])]


class Refused(msgspec.Struct):
    """The version that may not go live, and why."""

    version: str
    code: str
    reason: str


class _State(msgspec.Struct, kw_only=True):
    # a caller without the right to see the rest gets only the status
    model: str | UnsetType = UNSET
    version: Annotated[
        str | UnsetType | None, Meta(description="The version that is live; null for none.")
    ] = UNSET
    active: Annotated[
        str | UnsetType | None, Meta(description="The version that is active in Redis.")
    ] = UNSET
    redis: Annotated[str | UnsetType, Meta(description="`ok`, or what is wrong with Redis.")] = (
        UNSET
    )
    confirmed: Annotated[
        bool | UnsetType, Meta(description="Whether Redis named the live version as active.")
    ] = UNSET
    refused: Refused | UnsetType | None = UNSET
    example: Annotated[
        bool | UnsetType, Meta(description="Whether the made-up example model is served.")
    ] = UNSET


class Ready(_State, kw_only=True):
    """A verified, warm version is live."""

    status: Annotated[str, Meta(examples=["ready"])]


class ModelAnswer(msgspec.Struct):
    """The live version: its net, its schema, and its metrics when it was fitted."""

    model: str
    version: str
    net: str
    task: str
    created: str
    example: Annotated[bool, Meta(description="Whether it is the made-up example model.")]
    schema: Annotated[
        dict[str, Any],
        Meta(description="`fields.NAME.kind` and `fields.NAME.role`, and the schema's other keys."),
    ]
    metrics: Annotated[
        dict[str, dict[str, float | None]],
        Meta(description="Of each part of the log: valid, and test where there was one."),
    ]


class Problem(msgspec.Struct):
    """RFC 9457. `code` is stable; the other members may be reworded."""

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(examples=["wrong_type"])]
    row: Annotated[int | UnsetType, Meta(description="Counted from 0.")] = UNSET
    field: Annotated[str | UnsetType, Meta(description="The schema's name.")] = UNSET


class NotReady(_State, kw_only=True):
    """RFC 9457, with what `/readyz` says of the process."""

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(examples=["no_model"])]
