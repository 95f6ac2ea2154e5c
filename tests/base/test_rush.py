"""What somebody waits for goes first, for a moment."""

import asyncio
import time

from bot.base.rush import Rush


async def test_nobody_waits_where_nothing_goes_first() -> None:
    rush = Rush()
    with rush.first():
        pass
    async with asyncio.timeout(0):
        await rush.give_way(60)


async def test_what_has_time_waits_until_all_that_goes_first_is_over() -> None:
    rush, order = Rush(), []

    async def what_has_time() -> None:
        await rush.give_way(60)
        order.append("waited")

    with rush.first():
        waiting = asyncio.create_task(what_has_time())
        with rush.first():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        order.append("first")
    async with asyncio.timeout(5):
        await waiting
    assert order == ["first", "waited"]


async def test_it_waits_for_a_moment_only() -> None:
    rush = Rush()
    with rush.first():
        began = time.monotonic()
        await rush.give_way(0.05)
    assert 0.04 < time.monotonic() - began < 5
