"""The explain page as one file, with a bundle's net and vocabularies in it: it opens from a disk,
scores in the page and asks nobody.

Large vocabularies are cut to their most frequent values, as many as fit; private fields are left
out and count as missing, as do fields whose moments have a form that the page cannot read.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.bundle.bundle import Bundle
from model.bundle.files import PREDICT, WEIGHTS
from model.bundle.graph_files import PREFIX, read_parameters
from model.errors import BundleError, reason
from model.files.whole_file import whole_file
from model.nets.net import TABLES
from model.page import files
from model.page.beginning import MOST_VALUES, beginning, calibration
from model.schema import Field, Schema
from model.values.buckets import bucket_of
from model.values.ids import FIRST, MISSING
from model.values.scales import Bins, Scaler
from model.values.values import Reading
from model.vocabulary import Buckets, FieldVocabulary, Vocabulary

NETS = ("lr", "fm", "fwfm", "ffm", "nfm", "afm", "afm+")  # that the page's script has
MOST_BYTES = 2_000_000

Parameters = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class WhatIfFile:
    """What was written: its size, and of each vocabulary that was cut how many of how many."""

    size: int
    cut: dict[str, tuple[int, int]]


def write_what_if(directory: Path, out: Path, most_bytes: int = MOST_BYTES) -> WhatIfFile:
    """Write the page of the bundle at `directory` into the file `out`.

    Raises:
        BundleError: no bundle, a net that the page cannot score, or `out` cannot be written.
    """
    bundle = Bundle.open(directory)
    net = bundle.manifest.net
    if net not in NETS:
        raise BundleError(f"{directory}: net {net!r}: the page scores {', '.join(NETS)}")
    found = read_parameters(directory / PREDICT, directory / WEIGHTS)
    parameters = {name.removeprefix(PREFIX): array for name, array in found.items()}
    vocabularies = bundle.read_vocabularies()
    most = _most_values(bundle, vocabularies, parameters, most_bytes)
    page, cut = _page(bundle, vocabularies, parameters, most)
    try:
        with whole_file(out) as file:
            file.write(page)
    except OSError as error:
        raise BundleError(f"{out}: cannot write there: {reason(error)}") from error
    return WhatIfFile(len(page), cut)


def _most_values(
    bundle: Bundle,
    vocabularies: Mapping[str, FieldVocabulary],
    parameters: Parameters,
    most_bytes: int,
) -> int:
    # how many of a vocabulary's values fit, so that the file has at most so many bytes
    low, high = 1, max(len(v.values) for v in [Vocabulary(("",)), *_listed(vocabularies)])
    while low < high:
        middle = (low + high + 1) // 2
        if len(_page(bundle, vocabularies, parameters, middle)[0]) <= most_bytes:
            low = middle
        else:
            high = middle - 1
    return low


def _listed(vocabularies: Mapping[str, FieldVocabulary]) -> list[Vocabulary]:
    return [one for one in vocabularies.values() if isinstance(one, Vocabulary)]


def _page(
    bundle: Bundle,
    vocabularies: Mapping[str, FieldVocabulary],
    parameters: Parameters,
    most: int,
) -> tuple[bytes, dict[str, tuple[int, int]]]:
    schema = bundle.schema
    unread = [n for n, f in schema.fields.items() if getattr(f, "format", None) is not None]
    unread_sources = {schema.sources[name] for name in unread}
    begun = beginning(bundle, vocabularies, max(most, MOST_VALUES))
    begun["fields"] = [one for one in begun["fields"] if one["source"] not in unread_sources]
    for side in (begun["example"]["context"], *begun["example"]["candidates"]):
        for source in unread_sources & side.keys():
            del side[source]
    shown = {one["name"]: one for one in begun["fields"]}
    kept = _Kept()
    encoding, cut = [], {}
    for name, field in schema.fields.items():
        vocabulary = vocabularies[name]
        if name not in shown:
            encoding.append(kept.hidden(field, vocabulary))
            continue
        encoding.append(kept.shown(schema, name, vocabulary, most, _examples(begun, field, name)))
        if isinstance(vocabulary, Vocabulary):
            values = shown[name]["values"] = encoding[-1]["values"]
            shown[name]["left_out"] = len(vocabulary.values) - len(values)
            known = vocabulary.size - FIRST
            if len(values) < known:
                cut[name] = len(values), known
    begun |= {"model": None, "previous": None, "notes": _notes(cut, unread)}
    sizes = bundle.manifest.dimensions
    net = {
        "net": bundle.manifest.net,
        "bias": float(parameters["bias"][0]),
        "embedding": sizes.embedding,
        "attention": sizes.attention,
        "calibration": calibration(bundle.manifest),
        "parameters": {
            name: _base64(array[kept.rows] if name in TABLES else array)
            for name, array in parameters.items()
        },
    }
    return _html({"begun": begun, "net": net, "encoding": encoding}), cut


def _notes(cut: Mapping[str, tuple[int, int]], unread: list[str]) -> list[str]:
    notes = []
    if cut:
        sizes = ", ".join(f"{name} to {few:,} of {all_:,}" for name, (few, all_) in cut.items())
        notes.append(f"Cut to the most frequent values, the others count as unknown: {sizes}.")
    if unread:
        notes.append(f"Left out, and missing, as this file cannot read them: {', '.join(unread)}.")
    return notes


def _examples(begun: Mapping[str, Any], field: Field, name: str) -> set[str]:
    # the texts of a field that the example has, which are kept however rare they are
    source = field.source or name
    sides = [begun["example"]["context"], *begun["example"]["candidates"]]
    given = [side[source] for side in sides if source in side]
    flat = [one for value in given for one in (value if isinstance(value, list) else [value])]
    return {one for one in flat if isinstance(one, str)}


class _Kept:
    # the rows of the table that the file has, in its order

    def __init__(self) -> None:
        self.rows: list[int] = []
        self._offset = 0

    def hidden(self, field: Field, vocabulary: FieldVocabulary) -> dict[str, Any]:
        """A field that is always missing, without its name."""
        said = {"hidden": True, "name": None, "source": None, **self._common(field)}
        self.rows += range(self._offset, self._offset + MISSING + 1)
        self._offset += vocabulary.size
        # whatever its kind was: of one that is missing, only its width and rows count
        return {**said, "kind": "multivalue", "reading": _reading(Reading())}

    def shown(
        self,
        schema: Schema,
        name: str,
        vocabulary: FieldVocabulary,
        most: int,
        examples: set[str],
    ) -> dict[str, Any]:
        """A field with as many values as there are to be."""
        field = schema.fields[name]
        said: dict[str, Any] = {"name": name, "source": schema.sources[name], "kind": field.kind}
        said |= {**self._common(field), "reading": _reading(field.reading)}
        if (part := getattr(field, "part", None)) is not None:
            said |= {"part": part, "moments": ["", *field.null_values]}
        size = vocabulary.size
        places = list(range(size - FIRST))
        if isinstance(vocabulary, Vocabulary):
            values = vocabulary.values
            places = [i for i, value in enumerate(values) if i < most or value in examples]
            said["values"] = [values[place] for place in places]
            if isinstance(vocabulary, Buckets):  # whose other values count as unknown, as cut ones
                places = [bucket_of(value, vocabulary.buckets) for value in said["values"]]
            place_of = {place: i for i, place in enumerate(places)}
            words = {} if field.reading.as_text else vocabulary.words(0)
            found = {word: place_of.get(row - FIRST) for word, row in words.items()}
            said["words"] = {word: place for word, place in found.items() if place is not None}
        if isinstance(vocabulary, Scaler):
            said["scaler"] = {k: getattr(vocabulary, k) for k in ("low", "high", "shift", "scale")}
            said["scaler"]["log"] = vocabulary.log
        if isinstance(vocabulary, Bins):
            said |= {"edges": vocabulary.edges, "examples": vocabulary.examples()}
        self.rows += range(self._offset, self._offset + FIRST)
        self.rows += (self._offset + FIRST + place for place in places)
        self._offset += size
        return said

    def _common(self, field: Field) -> dict[str, Any]:
        return {"width": field.width, "missing": field.missing, "offset": len(self.rows)}


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "as_text": reading.as_text,
        "nulls": sorted(reading.nulls),
        "null_numbers": sorted(reading.null_numbers),
        "separator": reading.separator,
        "thousands": reading.thousands,
        "decimal": reading.decimal,
    }


def _base64(array: NDArray[np.float32]) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode()


def _html(data: Mapping[str, Any]) -> bytes:
    style, script = files.read("page.css").decode(), files.in_one_script("portable.js")
    held = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    allowed = files.policy(
        script_src=_hash(script), style_src=_hash(style), connect_src="'none'", img_src="data:"
    )
    page = files.read(files.EXPLAIN).decode()
    head = f'<meta http-equiv="Content-Security-Policy" content="{allowed}">'
    page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{head}')
    page = re.sub(r'<link rel="stylesheet"[^>]*>', lambda _: f"<style>{style}</style>", page)
    page = re.sub(r"<script type=\"module\"[^>]*></script>\n", "", page)
    data_block = f'<script type="application/json" id="portable">{held}</script>'
    end = f"{data_block}\n<script>{script}</script>\n</body>"
    return page.replace("</body>", end).encode()


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
