"""A worker, as it runs in production: a process of its own that knows nothing of who starts workflows.

    python worker.py

It works until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

from activities import classify, draft, polish, send
from pipeline import QUEUE, Delivery, Support, connected
from temporalio.client import Client
from temporalio.worker import Worker


def made(client: Client, threads: ThreadPoolExecutor) -> Worker:
    return Worker(
        client,
        task_queue=QUEUE,
        workflows=[Support, Delivery],
        activities=[classify, draft, polish, send],
        activity_executor=threads,
    )


async def main() -> None:
    with ThreadPoolExecutor() as threads:
        async with made(await connected(), threads):
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
