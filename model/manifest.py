"""`manifest.json`: what a bundle is, and the digest of each of its files."""

import json
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.errors import BundleError
from model.held_out import HeldOut

FORMAT = 1

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FileRecord(_Part):
    """One file of the bundle; `size` in bytes."""

    sha256: Digest
    size: int = Field(ge=0)


MOST_KNOTS = 64


class Calibration(_Part):
    """probability = sigmoid(g(logit + log(rate))), where training kept `rate` of the negatives.

    g is the line scale * x + shift; or, with `knots`, the strictly increasing piecewise linear
    function that has the value `levels[k]` at `knots[k]`, its ends drawn on.
    """

    rate: float = Field(default=1.0, gt=0, le=1)
    scale: float = Field(default=1.0, gt=0)
    shift: float = 0.0
    knots: list[float] = Field(default=[], max_length=MOST_KNOTS)
    levels: list[float] = []

    @model_validator(mode="after")
    def _is_one_increasing_function(self) -> "Calibration":
        if len(self.knots) != len(self.levels) or len(self.knots) == 1:
            raise ValueError("knots and levels: none, or two or more of each")
        if any(low >= high for row in (self.knots, self.levels) for low, high in pairwise(row)):
            raise ValueError("knots and levels must ascend")
        if self.knots and (self.scale, self.shift) != (1, 0):
            raise ValueError("a line or knots, not both")
        return self


class Dimensions(_Part):
    """V `rows` of the embedding table, F `slots`; `embedding` K and `attention` T, 0 where none."""

    rows: int = Field(ge=1)
    slots: int = Field(ge=1)
    embedding: int = Field(ge=0)
    attention: int = Field(ge=0)


class Manifest(_Part):
    """`version` names the bundle's content: equal versions have equal files."""

    format: int
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    created: str
    net: str
    task: str
    dimensions: Dimensions
    bias: float
    schema_digest: Digest
    calibration: Calibration
    versions: dict[str, str]  # of the libraries that made it
    metrics: dict[str, Any]  # split ("valid", "test") -> metric -> number
    training: dict[str, Any] = {}  # seed, configuration, epochs
    warnings: list[str] = []  # what its fit must not pass over in silence, a line each
    files: dict[str, FileRecord]
    held_out: HeldOut | None = None  # the rule of the rows it was never trained on, where known

    def dumps(self) -> bytes:
        """As JSON for people and programs."""
        return json.dumps(self.model_dump(), indent=2, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes, source: str) -> "Manifest":
        """Read what `dumps` wrote.

        Raises:
            BundleError: not a manifest, or of a format that this version cannot read.
        """
        try:
            body = json.loads(data)
            found = body["format"] if isinstance(body, dict) and "format" in body else None
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{source}: not JSON: {error}", "manifest") from error
        if found != FORMAT:
            raise BundleError(
                f"{source}: bundle format {found!r}, this version reads {FORMAT}", "format"
            )
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            at = ".".join(map(str, fault["loc"]))
            raise BundleError(f"{source}: {at}: {fault['msg']}", "manifest") from error
