"""Lookups of which most are given up at a random moment, while Redis pauses now and then."""

import asyncio
import random

from faulty_redis import FaultyRedis
from service.errors import StoreUnavailable
from service.scoring.remote.redis_lookups import Lookups

VALUES = 5_000


def cancelled_lookups(redis: FaultyRedis, asking: Lookups, cancels: int) -> dict[str, int]:
    """How many lookups were right, cancelled or late, once so many are cancelled.

    Raises:
        AssertionError: a reply that was another's.
    """
    with redis.direct() as client:
        for key, sign in (("one", 1), ("other", -1)):
            client.hset(key, mapping={f"v{i}": sign * i for i in range(VALUES)})
    drawn = random.Random(7)
    outcomes = {"right": 0, "cancelled": 0, "late": 0}

    async def ask() -> None:
        wanted = {
            key: [f"v{drawn.randrange(VALUES + 50)}" for _ in range(drawn.randrange(1, 5))]
            for key in drawn.choice([("one",), ("other",), ("one", "other")])
        }
        task = asyncio.create_task(asking.find("ads", wanted, None))
        if drawn.random() < 0.7:
            asyncio.get_running_loop().call_later(drawn.random() * 0.003, task.cancel)
        try:
            found = await task
        except asyncio.CancelledError:
            outcomes["cancelled"] += 1
        except StoreUnavailable:
            outcomes["late"] += 1
        else:
            for key, values in wanted.items():
                for value in values:
                    number = int(value[1:])
                    right = (number if key == "one" else -number) if number < VALUES else None
                    assert found[key][value] == right
            outcomes["right"] += 1

    async def caller() -> None:
        while outcomes["cancelled"] < cancels:
            await ask()

    async def pauses() -> None:
        with redis.direct() as client:
            while outcomes["cancelled"] < cancels:
                await asyncio.to_thread(client.execute_command, "CLIENT", "PAUSE", 30)
                await asyncio.sleep(0.1)

    async def all_of_them() -> None:
        await asyncio.gather(pauses(), *(caller() for _ in range(40)))

    asyncio.run(all_of_them())
    return outcomes
