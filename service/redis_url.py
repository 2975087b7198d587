"""The URL of a Redis, or of a Redis Cluster: checked, and shown without its password.

>>> without_password("redis://me:secret@host:6379/0")
'redis://me@host:6379/0'
>>> ClusterUrl.of("redis+cluster://me:secret@one:7000,two:7000").node("two:7000")
'redis://me:secret@two:7000'
"""

from typing import NamedTuple, Self

CLUSTER = "+cluster"


class ClusterUrl(NamedTuple):
    """The URL of a Redis Cluster, redis+cluster://user:password@host:port,host:port?options, or
    rediss+cluster:// for TLS: any of its nodes, which know the others.
    """

    scheme: str
    login: str
    seeds: tuple[str, ...]
    options: str

    @classmethod
    def of(cls, url: str) -> Self | None:
        """Its parts; None for the URL of a single Redis.

        Raises:
            ValueError: a database is named, of which a cluster has one.
        """
        scheme, separator, rest = url.partition("://")
        if not separator or not scheme.endswith(CLUSTER):
            return None
        rest, question, options = rest.partition("?")
        login, at, places = rest.rpartition("@")
        places, _, database = places.partition("/")
        if database not in ("", "0"):
            raise ValueError("a Redis Cluster has no other database than 0")
        seeds = tuple(place.strip() for place in places.split(","))
        return cls(scheme.removesuffix(CLUSTER), login + at, seeds, question + options)

    def node(self, place: str) -> str:
        """The URL of one node, at host:port."""
        return f"{self.scheme}://{self.login}{place}{self.options}"


def without_password(url: str) -> str:
    """A Redis URL as it may be shown."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "(not a URL)"
    # the last @, since a password may hold any character, and people forget to escape it
    login, at, place = rest.rpartition("@")
    user = login.partition(":")[0]
    place = place.partition("?")[0]  # redis-py takes a password from there as well
    return f"{scheme}://{user}{at if user else ''}{place}"


def checked_redis_url(url: str) -> str:
    """The URL.

    Raises:
        ValueError: it is not one; without its text, which may hold a password.
    """
    import redis  # takes longer than all other settings together

    cluster = ClusterUrl.of(url)
    try:
        if cluster is not None and not all(seed.partition(":")[0] for seed in cluster.seeds):
            raise ValueError
        for one in [url] if cluster is None else map(cluster.node, cluster.seeds):
            redis.Redis.from_url(one).close()  # parses, and does not connect
    except ValueError:  # whose text may hold a part of the password
        raise ValueError(
            "not a Redis URL: redis://user:password@host:6379/0, rediss:// or unix://, or of a "
            "Redis Cluster redis+cluster://user:password@host:6379,host:6379, with special "
            "characters percent-encoded"
        ) from None
    return url
