"""aiohttp, a hundred requests at once over at most 20 connections."""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp

url, body = sys.argv[1] + "/predict", json.loads(Path(sys.argv[2]).read_text())


async def ask(session: aiohttp.ClientSession) -> None:
    async with session.post(url, json=body) as answer:
        await answer.read()  # else its connection is not used again
        print(answer.status)


async def main() -> None:
    pool = aiohttp.TCPConnector(limit=20, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=pool) as session:
        await asyncio.gather(*[ask(session) for _ in range(100)])


asyncio.run(main())
