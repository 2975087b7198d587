"""Simulated OpenRTB 2.6 bid requests, and the flat rows of the same values."""

import random
from typing import Any

OPENRTB_SCHEMA = """
label = "click"
[fields.hour]
kind = "categorical"
source = "ts"
part = "hour"
[fields.domain]
kind = "categorical"
source = "site.domain"
[fields.cat]
kind = "multivalue"
source = "site.cat"
max_values = 3
[fields.devicetype]
kind = "categorical"
source = "device.devicetype"
[fields.country]
kind = "categorical"
source = "device.geo.country"
missing = "absent"
[fields.user]
kind = "categorical"
source = "user.id"
private = true
[fields.segments]
kind = "multivalue"
source = "user.data.segment.id"
max_values = 4
[fields.width]
kind = "categorical"
role = "candidate"
source = "banner.w"
[fields.first_size]
kind = "numeric"
role = "candidate"
source = "banner.format.0.h"
[fields.bidfloor]
kind = "numeric"
role = "candidate"
transform = "log1p"
[fields.tagid]
kind = "categorical"
role = "candidate"
"""


def bid_request(draw: random.Random, number: int, imps: int = 1) -> dict[str, Any]:
    """One bid request; some objects and values are left out, null or empty."""
    segments = [
        {"id": f"provider-{n}", "segment": [{"id": f"s{draw.randrange(6)}"} for _ in range(n)]}
        for n in range(draw.randrange(3))
    ]
    device: dict[str, Any] = {"devicetype": draw.choice([1, 2, 4, 5]), "ua": "Mozilla", "ext": {}}
    if draw.random() < 0.8:
        device["geo"] = draw.choice([{"country": draw.choice(["AUT", "DEU"])}, {}, None])
    found: dict[str, Any] = {
        "id": f"auction-{number}",
        "at": 1,
        "tmax": 120,
        "imp": [_imp(draw, place) for place in range(imps)],
        "site": {
            "domain": draw.choice(["news.example", "sport.example"]),
            "cat": draw.sample(["IAB1", "IAB2", "IAB17", "IAB19"], draw.randrange(4)),
        },
        "device": device,
        "user": {"id": f"u{draw.randrange(30)}", "data": segments},
        "ext": {"exchange": "x"},
    }
    if draw.random() < 0.1:
        del found["user"]
    if draw.random() < 0.1:
        found["site"] = None
    return found


def _imp(draw: random.Random, place: int) -> dict[str, Any]:
    width = draw.choice([300, 728])
    banner = {"w": width, "h": 250, "format": [{"w": width, "h": draw.choice([90, 250])}]}
    return {
        "id": str(place + 1),
        "banner": banner if draw.random() < 0.9 else None,
        "bidfloor": round(draw.uniform(0.1, 3), 2),
        "tagid": draw.choice(["top", "side", "foot"]),
        "secure": 1,
    }


def log_line(draw: random.Random, number: int) -> dict[str, Any]:
    """A line of a log: when, what was asked, whether there was a click."""
    asked = bid_request(draw, number)
    liked = asked["device"]["devicetype"] == 4
    chance = 0.7 if liked == (asked["imp"][0]["tagid"] == "top") else 0.2
    return {"click": int(draw.random() < chance), "ts": ts(number), "bid_request": asked}


def ts(number: int) -> int:
    """When the request of this number came, a Unix time."""
    return 1_764_300_000 + number * 97


def context_row(asked: dict[str, Any], number: int) -> dict[str, Any]:
    """What a caller that knows nothing of paths would send as the context."""
    site, user = asked.get("site") or {}, asked.get("user") or {}
    row = {
        "ts": ts(number),
        "site.domain": site.get("domain"),
        "site.cat": site.get("cat"),
        "device.devicetype": asked["device"]["devicetype"],
        "device.geo.country": (asked["device"].get("geo") or {}).get("country"),
        "user.id": user.get("id"),
    }
    row["user.data.segment.id"] = [
        segment["id"] for data in user.get("data", []) for segment in data["segment"]
    ]
    return row


def candidate_row(imp: dict[str, Any]) -> dict[str, Any]:
    """The same of a candidate."""
    banner = imp["banner"] or {}
    return {
        "banner.w": banner.get("w"),
        "banner.format.0.h": banner["format"][0]["h"] if banner else None,
        "bidfloor": imp["bidfloor"],
        "tagid": imp["tagid"],
    }
