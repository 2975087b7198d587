"""The URL of a Redis: checked, and shown without its password.

>>> without_password("redis://me:secret@host:6379/0")
'redis://me@host:6379/0'
"""


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

    try:
        redis.Redis.from_url(url).close()  # parses, and does not connect
    except ValueError:  # whose text may hold a part of the password
        raise ValueError(
            "not a Redis URL: redis://user:password@host:6379/0, rediss:// or unix://, "
            "with special characters percent-encoded"
        ) from None
    return url
