"""Protocol Buffers on the wire, by hand: messages as nested lists of (number, value), so that a
test writes the numbers of a specification and uses no code that it tests.
"""

import struct
from collections.abc import Sequence
from typing import Any

Fields = Sequence[tuple[int, Any]]

# OpenRTB 2.6: what a bid request of `bid_requests` is made of, with its numbers and types
NUMBERS: dict[str, dict[str, tuple[int, Any]]] = {
    "BidRequest": {
        "id": (1, str),
        "imp": (2, "Imp"),
        "site": (3, "Site"),
        "device": (5, "Device"),
        "user": (6, "User"),
        "at": (7, int),
        "tmax": (8, int),
    },
    "Imp": {
        "id": (1, str),
        "banner": (2, "Banner"),
        "tagid": (7, str),
        "bidfloor": (8, float),
        "secure": (12, int),
    },
    "Banner": {"w": (1, int), "h": (2, int), "format": (15, "Format")},
    "Format": {"w": (1, int), "h": (2, int)},
    "Site": {"domain": (3, str), "cat": (4, str)},
    "Device": {"ua": (2, str), "geo": (4, "Geo"), "devicetype": (18, int)},
    "Geo": {"country": (3, str)},
    "User": {"id": (1, str), "data": (8, "Data")},
    "Data": {"id": (1, str), "segment": (3, "Segment")},
    "Segment": {"id": (1, str)},
}


def written(fields: Fields) -> bytes:
    """A message: whole numbers as varints, floats as doubles, all else by its length."""
    found = b""
    for number, value in fields:
        if isinstance(value, float):
            found += varint(number << 3 | 1) + struct.pack("<d", value)
        elif isinstance(value, int):
            found += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            data = data if isinstance(data, bytes) else written(data)
            found += varint(number << 3 | 2) + varint(len(data)) + data
    return found


def read(data: bytes) -> list[tuple[int, Any]]:
    """A message's fields: integers, doubles, and bytes of texts and messages."""
    fields: list[tuple[int, Any]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 == 0:
            value, at = _read_varint(data, at)
            fields.append((tag >> 3, value))
        elif tag & 7 == 1:
            fields.append((tag >> 3, struct.unpack_from("<d", data, at)[0]))
            at += 8
        else:
            assert tag & 7 == 2, tag
            size, at = _read_varint(data, at)
            fields.append((tag >> 3, data[at : at + size]))
            at += size
    return fields


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def openrtb(message: str, found: dict[str, Any]) -> list[tuple[int, Any]]:
    """An object of OpenRTB's JSON as fields; what is null, or has no number here, is left out."""
    fields: list[tuple[int, Any]] = []
    for name, value in found.items():
        if name not in NUMBERS[message] or value is None:
            continue
        number, kind = NUMBERS[message][name]
        given = value if isinstance(value, list) else [value]
        inner = [openrtb(kind, one) if isinstance(kind, str) else kind(one) for one in given]
        fields += [(number, one) for one in inner]
    return fields


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
        shift += 7
