"""The schema file: which fields a model reads, of what kind, and what an absent value means."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, model_validator
from pydantic import Field as Setting

from model.errors import SchemaError
from model.files.toml_files import parse, read_text
from model.values.moments import Part, part_of
from model.values.values import PLAIN, Column, Reading

Role = Literal["context", "candidate"]
Missing = Literal["token", "absent"]
Transform = Literal["standardise", "log1p", "quantile", "none"]

# TOML has arrays; a schema is hashable and never changes
Texts = Annotated[tuple[str, ...], Setting(strict=False)]
MOST_BUCKETS = 1 << 31
USUAL_MARKS = {"thousands": "", "decimal": "."}
Task = Literal["click", "regression", "ranking"]
Targets = Literal["as_given", "plus_minus_one"]


class _Field(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    role: Role = "context"  # whether an ad request gives it once, or per candidate ad
    # token: null has its own learned row; absent: the feature is not there
    missing: Missing = "token"
    source: str | None = Setting(default=None, min_length=1)  # the column; None: the field's name
    null_values: Texts = ()  # what stands for null, beside the empty text; default: the schema's
    private: bool = False  # no page and no file for people names it or shows a value of it

    @property
    def width(self) -> int:
        """How many of the F slots the field takes."""
        return 1

    @cached_property
    def reading(self) -> Reading:
        """How it reads its values."""
        return Reading(null_values=self.null_values)

    def own(self, column: Column) -> Column:
        """The field's values by the values of its source, which they are unless it is a part.

        Raises:
            ValueError: a value that is no moment.
        """
        return column


class _PartField(_Field):
    # of one value, which may be a part of a moment

    part: Part | None = None  # of the moment that `source` is, in UTC
    format: str | None = Setting(default=None, min_length=1)  # of it, as strptime has it

    @cached_property
    def reading(self) -> Reading:
        """How it reads its values, which have no null values of their own where they are parts."""
        return PLAIN if self.part else Reading(null_values=self.null_values)

    @cached_property
    def _moments(self) -> Reading:
        return Reading(null_values=self.null_values)

    @model_validator(mode="after")
    def _part_has_a_source(self) -> "_PartField":
        if self.part is not None and self.source is None:
            raise ValueError(f"part {self.part!r} needs a source: the column that has the moment")
        if self.format is not None and self.part is None:
            raise ValueError(f"format {self.format!r} goes with a part")
        return self

    def own(self, column: Column) -> Column:
        """See `_Field`."""
        if self.part is None:
            return column
        return [self.part_of(value) for value in column]

    def part_of(self, value: Any) -> int | None:
        """The part of a moment; None of null.

        Raises:
            ValueError: no moment.
        """
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise ValueError("no moment")
        if value is None or self._moments.text(value) is None:
            return None
        assert self.part is not None  # noqa: S101  only such fields are asked
        return part_of(value, self.part, self.format)


class CategoricalField(_PartField):
    """One value of many; values seen fewer than `min_count` times fold into the unknown row."""

    kind: Literal["categorical"]
    min_count: int = Setting(default=2, ge=1)
    # values without bound: hashed into so many rows instead of a vocabulary
    buckets: int | None = Setting(default=None, ge=1, le=MOST_BUCKETS)
    as_text: bool = False  # a text stays as it is written: 9.10 is not 9.1

    @cached_property
    def reading(self) -> Reading:
        """See `_Field`."""
        return PLAIN if self.part else Reading(self.as_text, self.null_values)


class NumericField(_PartField):
    """A number that scales its field's embedding (the paper's v_i x_i), or picks a bin."""

    kind: Literal["numeric"]
    transform: Transform = "standardise"
    bins: int = Setting(default=32, ge=2, le=10_000)  # quantile only
    thousands: Literal["", ",", ".", " ", "'"] = ""  # between them, in a text; " ": any space
    decimal: Literal[".", ","] = "."  # before decimals, in a text: 12,50

    @cached_property
    def reading(self) -> Reading:
        """See `_Field`."""
        if self.part:
            return PLAIN
        return Reading(null_values=self.null_values, thousands=self.thousands, decimal=self.decimal)

    @model_validator(mode="after")
    def _marks_differ(self) -> "NumericField":
        if self.thousands == self.decimal:
            raise ValueError(f"thousands and decimal are both {self.decimal!r}")
        return self


class MultivalueField(_Field):
    """Up to `max_values` values, each a feature, and so a member of R, of its own."""

    kind: Literal["multivalue"]
    min_count: int = Setting(default=2, ge=1)
    # values without bound: hashed into so many rows instead of a vocabulary
    buckets: int | None = Setting(default=None, ge=1, le=MOST_BUCKETS)
    separator: str = Setting(default="|", min_length=1)  # in text; JSON has lists
    max_values: int = Setting(default=5, ge=1, le=1000)
    as_text: bool = False  # a text stays as it is written: 9.10 is not 9.1

    @cached_property
    def reading(self) -> Reading:
        """See `_Field`."""
        return Reading(self.as_text, self.null_values, self.separator)

    @property
    def width(self) -> int:
        """How many of the F slots the field takes: one a value."""
        return self.max_values


Field = Annotated[CategoricalField | NumericField | MultivalueField, Setting(discriminator="kind")]
Fields = Annotated[
    Mapping[str, Field],
    AfterValidator(MappingProxyType),
    PlainSerializer(dict, return_type=dict),
]


class Schema(BaseModel):
    """Fields in the order of the slots, and the columns beside them that training reads.

    Columns that no field names are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    label: str = Setting(min_length=1)
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    # of the times, as strptime has it; without one they are numbers or ISO dates
    time_format: str | None = Setting(default=None, min_length=1)
    task: Task = "click"
    targets: Targets = "as_given"  # regression: plus_minus_one takes labels 0 and 1 as -1 and 1
    strict: bool = False  # a list longer than max_values is an error instead of being cut
    null_values: Texts = ()  # of the fields that name none of their own
    fields: Fields = Setting(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _fields_have_null_values(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or not given.get("null_values"):
            return given
        nulls, fields = given["null_values"], given.get("fields")
        if not isinstance(fields, Mapping):
            return given
        return {**given, "fields": {name: _with(one, nulls) for name, one in fields.items()}}

    @model_validator(mode="after")
    def _columns_are_distinct(self) -> "Schema":
        for role in ("label", "weight", "time"):
            column = getattr(self, role)
            for name, source in self.sources.items():
                # a part of the time is no copy of it
                if source != column or (role == "time" and self._is_part(name)):
                    continue
                raise ValueError(f"column {column!r} is the {role} and cannot be a field as well")
        if "" in self.fields:
            raise ValueError("a field needs a name")
        return self

    @model_validator(mode="after")
    def _settings_have_what_they_need(self) -> "Schema":
        if self.task == "ranking" and self.group is None:
            raise ValueError("task ranking needs a group: the column of what is ranked together")
        if self.time_format is not None and self.time is None:
            raise ValueError("a time_format goes with a time: the column that has it")
        if self.targets != "as_given" and self.task != "regression":
            raise ValueError(f"targets {self.targets} are for task regression, not {self.task}")
        return self

    def _is_part(self, name: str) -> bool:
        return getattr(self.fields[name], "part", None) is not None

    @cached_property
    def sources(self) -> Mapping[str, str]:
        """The column of a log, or the key of a request's row, that each field reads."""
        return {name: field.source or name for name, field in self.fields.items()}

    @cached_property
    def private_sources(self) -> frozenset[str]:
        """The sources that some private field reads."""
        return frozenset(self.sources[n] for n, field in self.fields.items() if field.private)

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """The field of each of the F slots."""
        return tuple(name for name, field in self.fields.items() for _ in range(field.width))

    @cached_property
    def candidate_slots(self) -> tuple[bool, ...]:
        """Which of the F slots a candidate ad gives, by the roles; the others are the context's."""
        return tuple(self.fields[name].role == "candidate" for name in self.slots)

    @cached_property
    def digest(self) -> str:
        """Sha256 of what the schema says, whatever way it is written.

        Settings at their default do not count: a later version's new key retires no bundle.
        """
        said = self.model_dump(mode="json", exclude_defaults=True)
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def without(self, names: Sequence[str]) -> "Schema":
        """The same schema less some of its fields.

        Raises:
            SchemaError: a field that is not there, or none is left.
        """
        for name in names:
            if name not in self.fields:
                known = ", ".join(map(repr, self.fields))
                raise SchemaError(f"no field {name!r} to drop; there are {known}")
        if not names:
            return self
        kept = {name: field for name, field in self.fields.items() if name not in names}
        if not kept:
            raise SchemaError("no field is left when all are dropped")
        # not model_copy, which would take what is cached of this one along
        said = {key: getattr(self, key) for key in Schema.model_fields}
        return Schema(**{**said, "fields": kept})

    @classmethod
    def load(cls, path: Path) -> "Schema":
        """Read a schema file.

        Raises:
            SchemaError: unreadable, not TOML, or a key with a bad value; names file, key and value.
        """
        return cls.parse(read_text(path, SchemaError), str(path))

    @classmethod
    def parse(cls, text: str, source: str = "schema") -> "Schema":
        """Read a schema from TOML text; `source` names it in errors.

        Raises:
            SchemaError: see `load`.
        """
        return parse(cls, text, source, SchemaError)


def _with(field: Any, null_values: Any) -> Any:
    # a field as it was given, with the schema's null values where it names none
    if isinstance(field, Mapping):
        return {"null_values": null_values, **field}
    if "null_values" in field.model_fields_set:
        return field
    return field.model_copy(update={"null_values": tuple(null_values)})
