"""Places and shares: nobody takes all of them, and who waits for a share takes no place."""

import asyncio

from bot.base.bulkhead import Bulkhead


class Crowd:
    """So many who want a place, and who of them has one."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.inside: list[str] = []
        self.release = asyncio.Event()

    async def enter(self, key: str) -> None:
        async with self.bulkhead.share(key), self.bulkhead.place():
            self.inside.append(key)
            await self.release.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_nobody_takes_more_than_their_share() -> None:
    crowd = Crowd(Bulkhead(places=3, share=2))
    tasks = [asyncio.create_task(crowd.enter(key)) for key in ["many"] * 9 + ["few", "late"]]
    await settle()
    assert crowd.inside == ["many", "many", "few"]
    crowd.release.set()
    await asyncio.gather(*tasks)
    assert len(crowd.inside) == 11


async def test_who_gives_up_leaves_nothing_behind() -> None:
    bulkhead = Bulkhead(places=1, share=1)
    crowd = Crowd(bulkhead)
    tasks = [asyncio.create_task(crowd.enter(key)) for key in ("a", "a", "b")]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert bulkhead.keys == 0, "what is remembered of each key does not grow for ever"
    crowd.release.set()
    await asyncio.wait_for(crowd.enter("a"), 1)
