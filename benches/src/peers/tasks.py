"""Spawns tasks in an asyncio.TaskGroup, or cancels parked ones; prints nanoseconds per task."""

import asyncio
import sys
import time


async def nothing():
    pass


async def spawn_join(count):
    start = time.perf_counter_ns()
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(nothing())
    return start


async def cancel(count):
    async def all_of_them():
        nonlocal start
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(asyncio.Event().wait())
            await asyncio.sleep(0)
            start = time.perf_counter_ns()
            asyncio.current_task().cancel()

    start = 0
    try:
        await all_of_them()
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()
    return start


work = {"spawn_join": spawn_join, "cancel": cancel}[sys.argv[1]]
count = int(sys.argv[2])


async def main():
    start = await work(count)
    return (time.perf_counter_ns() - start) / count


print(asyncio.run(main()))
