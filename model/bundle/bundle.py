"""The bundle: one directory that holds all of a model version, whole or not there.

    manifest.json           what it is, and sha256 and size of every other file
    predict.onnx            ids, values -> probability, logit
    ads.onnx                an ad's ids, values -> what ranking needs of it whatever the context
    rank.onnx               the scores of one context with its ads, whose fields come apart; both
                            where the schema has both roles
    explain.onnx            ids, values -> the terms of the logit
    weights.bin             the parameters of all graphs, float32, each on a page of its own
    schema.toml             the fields, in the order of the slots
    vocabulary/FIELD.json   what each field learnt; the name percent-encoded
    golden.jsonl            raw requests with the probabilities they must get
    validation.jsonl        some of the rows held out, with labels, for the gate; may be left out
    report.html             how good it is, for people

Reading trusts nothing: no file that the manifest does not name, no link, no digest that differs, no
path that leads outside, no graph that reads any file but weights.bin. There is no pickle in it.
"""

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.bundle.files import (
    ADS,
    EXPLAIN,
    GOLDEN,
    MANIFEST,
    PREDICT,
    RANK,
    SCHEMA,
    VALIDATION,
    WEIGHTS,
    check_files,
    read_plain,
    vocabulary_file,
)
from model.bundle.golden import GoldenCase
from model.bundle.graph_files import check_graph
from model.bundle.labelled_rows import LabelledRows
from model.encoding import Encoder
from model.errors import BundleError, SchemaError
from model.manifest import Manifest
from model.schema import Schema
from model.scorer import Scorer
from model.vocabulary import FieldVocabulary, from_bytes

Vocabularies = Mapping[str, FieldVocabulary]
NONE_KNOWN: Vocabularies = {}
FLOATS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Bundle:
    """A bundle that was verified when it was opened."""

    directory: Path
    manifest: Manifest
    schema: Schema

    @property
    def version(self) -> str:
        """The version that the bundle is published under."""
        return self.manifest.version

    @classmethod
    def open(cls, directory: Path) -> "Bundle":
        """Open a bundle and verify every file of it.

        Raises:
            BundleError: what is wrong, and with which file.
        """
        return cls.open_with_vocabularies(directory)[0]

    @classmethod
    def open_copy(cls, directory: Path, original: "Bundle") -> "Bundle":
        """Open what may be a copy of a verified bundle, which its digests prove; nothing else is
        read then.

        Raises:
            BundleError: what is wrong, and with which file.
        """
        path = directory / MANIFEST
        if directory.is_dir() and Manifest.parse(read_plain(path), str(path)) == original.manifest:
            check_files(directory, original.manifest)
            return cls(directory, original.manifest, original.schema)
        return cls.open(directory)

    @classmethod
    def open_with_vocabularies(
        cls, directory: Path, known: Vocabularies = NONE_KNOWN
    ) -> "tuple[Bundle, dict[str, FieldVocabulary]]":
        """Open a bundle as `open` does; with what each field learnt, which is verified as well,
        but for those that are `known`.

        Raises:
            BundleError: what is wrong, and with which file.
        """
        if not directory.is_dir():
            raise BundleError(f"{directory}: not a bundle: no such directory", "missing")
        path = directory / MANIFEST
        manifest = Manifest.parse(read_plain(path), str(path))
        check_files(directory, manifest)
        try:
            schema = Schema.load(directory / SCHEMA)
        except SchemaError as error:
            raise BundleError(str(error), "schema") from error
        if schema.digest != manifest.schema_digest:
            raise BundleError(
                f"{directory / SCHEMA}: not the schema that the manifest names", "schema"
            )
        bundle = cls(directory, manifest, schema)
        return bundle, bundle._checked_contents(known)

    def _checked_contents(self, known: Vocabularies) -> dict[str, FieldVocabulary]:
        of_fields = {vocabulary_file(name): name for name in self.schema.fields}
        in_manifest = {name for name in self.manifest.files if name.startswith("vocabulary/")}
        for name in sorted(of_fields.keys() ^ in_manifest):
            what = "lacks" if name in of_fields else "has"
            raise BundleError(
                f"{self.directory / MANIFEST}: {what} {name}, "
                f"{'a' if name in of_fields else 'no'} field of the schema",
                "fields",
            )
        vocabularies = self.read_vocabularies(known)
        rows = sum(vocabulary.size for vocabulary in vocabularies.values())
        dimensions = self.manifest.dimensions
        if (rows, len(self.schema.slots)) != (dimensions.rows, dimensions.slots):
            raise BundleError(
                f"{self.directory / MANIFEST}: says {dimensions.rows} rows and {dimensions.slots} "
                f"slots, schema and vocabularies have {rows} and {len(self.schema.slots)}",
                "dimensions",
            )
        weights = self.directory / WEIGHTS
        if self.manifest.files[WEIGHTS].size % 4 or not self.manifest.files[WEIGHTS].size:
            raise BundleError(f"{weights}: not a file of float32", "weights")
        numbers = np.memmap(weights, dtype=np.float32, mode="r")
        starts = range(0, len(numbers), FLOATS_AT_ONCE)
        if not all(np.isfinite(numbers[at : at + FLOATS_AT_ONCE]).all() for at in starts):
            raise BundleError(f"{weights}: a weight that is not finite", "weights")
        # in one order, so that every worker names the same one
        for name in sorted({PREDICT, ADS, RANK, EXPLAIN} & self.manifest.files.keys()):
            check_graph(self.directory / name, WEIGHTS, dimensions.rows)
        return vocabularies

    # a bundle holds no contents of its files: each call of `read_` something reads them anew

    def read_vocabulary_bytes(self, without: Container[str] = ()) -> dict[str, bytes]:
        """Each field's vocabulary file as it is, but for some fields."""
        return {
            name: (self.directory / vocabulary_file(name)).read_bytes()
            for name in self.schema.fields
            if name not in without
        }

    def vocabulary_sha256(self, field: str) -> str:
        """What the digest of a field's vocabulary must be, wherever its bytes come from."""
        return self.manifest.files[vocabulary_file(field)].sha256

    def read_vocabularies(self, known: Vocabularies = NONE_KNOWN) -> dict[str, FieldVocabulary]:
        """What each field learnt, in the order of the schema; those `known` are not read."""
        read = {
            name: from_bytes(data, str(self.directory / vocabulary_file(name)))
            for name, data in self.read_vocabulary_bytes(known).items()
        }
        return {name: known[name] if name in known else read[name] for name in self.schema.fields}

    def read_encoder(self) -> Encoder:
        """An encoder with the bundle's own vocabularies."""
        return Encoder(self.schema, self.read_vocabularies())

    def read_scorer(self) -> Scorer:
        """The graphs, ready to run."""
        slots = self.schema.candidate_slots
        return Scorer(self.directory, self.manifest.dimensions, self.manifest.bias, slots)

    def read_golden(self) -> list[GoldenCase]:
        """The requests with known answers."""
        path = self.directory / GOLDEN
        try:
            cases = [GoldenCase(**json.loads(line)) for line in path.read_bytes().splitlines()]
        except (ValueError, TypeError) as error:
            raise BundleError(f"{path}: not a list of golden cases: {error}", "golden") from error
        if not cases:
            raise BundleError(f"{path}: no golden case", "golden")
        return cases

    def read_validation(self) -> LabelledRows | None:
        """Some of the rows held out when it was fitted; None where it was made without them."""
        if VALIDATION not in self.manifest.files:
            return None
        path = self.directory / VALIDATION
        return LabelledRows.parse(path.read_bytes(), str(path))
