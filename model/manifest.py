"""`manifest.json`: what a bundle is, and the digest of each of its files."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import BundleError

FORMAT = 1

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FileRecord(_Part):
    """One file of the bundle; `size` in bytes."""

    sha256: Digest
    size: int = Field(ge=0)


class Calibration(_Part):
    """probability = sigmoid(scale * (logit + log(rate)) + shift); `rate` of negatives were kept."""

    rate: float = Field(default=1.0, gt=0, le=1)
    scale: float = Field(default=1.0, gt=0)
    shift: float = 0.0


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
    files: dict[str, FileRecord]

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
            raise BundleError(f"{source}: not JSON: {error}") from error
        if found != FORMAT:
            raise BundleError(f"{source}: bundle format {found!r}, this version reads {FORMAT}")
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            at = ".".join(map(str, fault["loc"]))
            raise BundleError(f"{source}: {at}: {fault['msg']}") from error
