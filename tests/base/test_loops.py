"""Background work: side work within its limit, loops that are asked."""

import asyncio

from bot.base.loops import Loop, Tasks, looping


async def test_side_work_beyond_its_limit_is_not_begun() -> None:
    tasks, release = Tasks(2), asyncio.Event()

    async def work() -> None:
        await release.wait()

    assert [tasks.start(work()) for _ in range(3)] == [True, True, False]
    assert len(tasks) == 2
    release.set()
    await tasks.drain(1)
    assert tasks.start(work())
    await tasks.drain(1)


async def test_what_side_work_starts_while_it_is_drained_is_finished_too() -> None:
    tasks, told = Tasks(), []

    async def tell() -> None:
        await asyncio.sleep(0.05)
        told.append("told")

    async def work() -> None:
        await asyncio.sleep(0.05)
        tasks.start(tell())

    tasks.start(work())
    await tasks.drain(5)
    assert told == ["told"]


async def test_a_drain_of_work_that_goes_on_and_on_ends_all_the_same() -> None:
    tasks, begun = Tasks(), 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        await asyncio.sleep(0.01)
        tasks.start(work())

    tasks.start(work())
    async with asyncio.timeout(5):
        await tasks.drain(0.1)
    assert begun > 1


class Steps:
    """A loop's step, how often it ran, and what it runs into."""

    def __init__(self) -> None:
        self.taken = 0
        self.problem: Exception | None = None
        self._took = asyncio.Event()

    async def __call__(self) -> None:
        self.taken += 1
        self._took.set()
        if self.problem is not None:
            raise self.problem

    async def until(self, taken: int) -> None:
        async with asyncio.timeout(5):
            while self.taken < taken:
                self._took.clear()
                await self._took.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_loop_that_others_ask_looks_at_the_start_and_when_it_is_asked() -> None:
    steps = Steps()
    loop = Loop("asked", 0.01, steps, asked=True)
    async with looping([loop]):
        await steps.until(1)
        await asyncio.sleep(0.05)
        assert steps.taken == 1
        loop.look()
        await steps.until(2)


async def test_a_loop_that_failed_is_not_asked_before_its_pause_is_over_and_then_looks_by_itself() -> None:
    steps = Steps()
    steps.problem = OSError("away")
    loop = Loop("asked", 0.1, steps, asked=True)
    async with looping([loop]):
        await steps.until(1)
        await settled()
        loop.look()
        await settled()
        assert (steps.taken, loop.failing) == (1, "OSError: away")
        steps.problem = None
        await steps.until(2)
        await settled()
        assert loop.failing is None


async def test_loops_that_rest_end_at_once() -> None:
    steps = Steps()
    async with looping([Loop("resting", 3_600, steps), Loop("asked", 3_600, steps, asked=True)]):
        await steps.until(2)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 0.5
