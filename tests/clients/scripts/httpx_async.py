"""httpx's asynchronous client, a hundred requests at once."""

import asyncio
import json
import sys
from pathlib import Path

import httpx

url, body = sys.argv[1] + "/predict", json.loads(Path(sys.argv[2]).read_text())


async def main() -> None:
    async with httpx.AsyncClient() as client:
        for answer in await asyncio.gather(*[client.post(url, json=body) for _ in range(100)]):
            print(answer.status_code)


asyncio.run(main())
