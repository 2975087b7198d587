"""What the names of columns say: who gives a value, whom it tells of, and whether it is an id.

>>> name_words("userId"), name_words("site_category")
(['user', 'id'], ['site', 'category'])
"""

import re
from collections.abc import Sequence

# what things are called that have a name, even where the name is a number
IDENTITY = frozenset({
    "ad", "advertiser", "app", "area", "brand", "category", "city", "code", "country",
    "creative", "device", "domain", "group", "hash", "host", "id", "ids", "ip", "item", "key",
    "keyword", "merchant", "os", "page", "postcode", "product", "publisher", "query", "region",
    "seller", "session", "site", "sku", "slot", "store", "title", "url", "user", "uuid", "zip",
    "zone",
})  # fmt: skip
# what is measured or counted, though few numbers of it come again and again
AMOUNT = frozenset({
    "age", "amount", "average", "avg", "balance", "bid", "budget", "clicks", "cost", "count",
    "ctr", "days", "discount", "distance", "duration", "height", "hours", "impressions", "income",
    "length", "mean", "median", "minutes", "number", "num", "percent", "price", "quantity", "rank",
    "rate", "ratio", "revenue", "salary", "score", "seconds", "size", "spend", "sum",
    "temperature", "tenure", "total", "views", "visits", "weight", "width", "year", "years",
})  # fmt: skip
VERSION = frozenset({"build", "release", "ver", "version"})

CANDIDATE = frozenset({
    "ad", "ads", "advert", "advertiser", "banner", "bid", "brand", "campaign", "candidate",
    "coupon", "creative", "description", "item", "keyword", "landing", "merchant", "offer",
    "price", "product", "seller", "sku", "title", "url",
})  # fmt: skip

# Names of what says who somebody is, ID among them as user_id is the same thing.
PERSON = frozenset({
    "aaid", "cookie", "cookies", "customer", "email", "gaid", "idfa", "idfv", "imei", "imsi", "ip",
    "ipinyouid", "maid", "mail", "member", "msisdn", "msno", "openudid", "phone", "ssn",
    "subscriber", "udid", "uid", "user", "visitor",
})  # fmt: skip
# the same of OpenRTB, as paths into a bid request
PERSON_PATHS = frozenset({
    "device.didmd5", "device.didsha1", "device.dpidmd5", "device.dpidsha1", "device.ifa",
    "device.ip", "device.ipv6", "device.macmd5", "device.macsha1", "user.buyeruid",
    "user.customdata", "user.eids.uids.id", "user.id",
})  # fmt: skip
ID = frozenset({"addr", "address", "code", "hash", "id", "key", "no", "number"})
# what a user has one of, which an id or an address of it tells
DEVICE = frozenset({"android", "client", "device", "remote"})
WHERE = frozenset({"addr", "address", "id", "ip"})
# what is the same one in several requests, and so never only the number of one
THINGS = (CANDIDATE | PERSON | IDENTITY | AMOUNT) - {
    "code", "group", "hash", "id", "ids", "key", "num", "number", "query", "session", "uuid",
}  # fmt: skip


def name_words(name: str) -> list[str]:
    """The words of a column's name: user_id, userId and userid are user and id."""
    words = [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    return [
        part
        for word in words
        for part in (
            (word[:-2], "id") if word.endswith("id") and word[:-2] in IDENTITY else (word,)
        )
    ]


def is_of_a_person(words: Sequence[str]) -> bool:
    """Whether a name is of what says who somebody is: user, user_id, device_ip; but not user_age,
    which many share, and not device.
    """
    found = frozenset(words)
    if not found <= PERSON | ID | DEVICE:
        return False
    return bool(found & WHERE if found & DEVICE else found & PERSON)
