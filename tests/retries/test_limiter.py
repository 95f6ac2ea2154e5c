"""Slots: handed out in order of rank, fewer after a limit, more again later."""

import asyncio

import pytest

from bot.retries import limiter as limits
from bot.retries.limiter import AHEAD, ALONE, IN_A_BATCH, Limiter, NotYet


class Crowd:
    """So many who want a slot, who of them is ready for one, and who has it."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.ready: list[str] = []
        self.inside: list[str] = []
        self.release = asyncio.Event()

    async def enter(self, name: str, rank: int = 0) -> None:
        async with self.limiter.slot(rank) as slot:
            self.ready.append(name)
            await slot.begin()
            self.inside.append(name)
            await self.release.wait()


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("limits", "expected"), [(0, 4), (1, 2), (2, 1), (9, 1)])
async def test_a_limit_halves_the_slots(limits: int, expected: int) -> None:
    limiter = Limiter(4)
    for _ in range(limits):
        limiter.back_off()
    crowd = Crowd(limiter)
    tasks = [asyncio.create_task(crowd.enter(str(number))) for number in range(6)]
    await settle()
    assert len(crowd.inside) == expected
    crowd.release.set()
    await asyncio.gather(*tasks)
    assert len(crowd.inside) == 6


async def test_good_answers_bring_the_slots_back() -> None:
    limiter = Limiter(4)
    limiter.back_off()
    for _ in range(10):
        limiter.recover()
    crowd = Crowd(limiter)
    tasks = [asyncio.create_task(crowd.enter(str(number))) for number in range(6)]
    await settle()
    assert len(crowd.inside) == 4
    crowd.release.set()
    await asyncio.gather(*tasks)


async def test_the_lowest_rank_goes_first_and_then_who_came_first() -> None:
    limiter = Limiter(1)
    crowd = Crowd(limiter)
    tasks = []
    for name, rank in (("first", 0), ("many 1", 1), ("many 2", 1), ("alone", 0)):
        tasks.append(asyncio.create_task(crowd.enter(name, rank)))
        await settle()
    crowd.release.set()
    await asyncio.gather(*tasks)
    assert crowd.inside == ["first", "alone", "many 1", "many 2"]


async def test_who_gives_up_waiting_takes_no_slot_along() -> None:
    limiter = Limiter(1)
    crowd = Crowd(limiter)
    first = asyncio.create_task(crowd.enter("first"))
    await settle()
    impatient = asyncio.create_task(crowd.enter("impatient"))
    await settle()
    crowd.release.set()
    impatient.cancel()  # just as the slot may be handed over
    await asyncio.gather(first, impatient, return_exceptions=True)
    await asyncio.wait_for(crowd.enter("last"), 1)
    assert "last" in crowd.inside


async def test_a_slot_that_is_wanted_soon_is_kept_from_a_batch() -> None:
    limiter = Limiter(2)
    first, rest, lone = Crowd(limiter), Crowd(limiter), Crowd(limiter)
    tasks = [asyncio.create_task(first.enter("first", IN_A_BATCH))]
    tasks += [asyncio.create_task(rest.enter(str(number), IN_A_BATCH)) for number in range(3)]
    await settle()
    with limiter.expecting(ALONE):
        first.release.set()
        await settle()
        assert rest.inside == ["0"], "the slot that got free is kept"
        tasks.append(asyncio.create_task(lone.enter("lone")))
        await settle()
        assert lone.inside == ["lone"]
    for crowd in (rest, lone):
        crowd.release.set()
    await asyncio.gather(*tasks)
    assert len(rest.inside) == 3


async def test_a_slot_is_not_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.retries.limiter.EXPECTED_SECONDS", 0.01)
    limiter = Limiter(2)
    batch = Crowd(limiter)
    with limiter.expecting(ALONE):
        tasks = [asyncio.create_task(batch.enter(name, IN_A_BATCH)) for name in ("first", "second")]
        await settle()
        assert batch.inside == ["first"]
        async with asyncio.timeout(1):
            while len(batch.inside) < 2:
                await asyncio.sleep(0.005)
    batch.release.set()
    await asyncio.gather(*tasks)


async def test_who_has_a_slot_keeps_no_other_one_free() -> None:
    limiter = Limiter(2)
    batch, lone = Crowd(limiter), Crowd(limiter)
    with limiter.expecting(ALONE) as has_one:
        tasks = [asyncio.create_task(lone.enter("lone"))]
        await settle()
        has_one()
        tasks.append(asyncio.create_task(batch.enter("of a batch", IN_A_BATCH)))
        await settle()
        assert (lone.inside, batch.inside) == (["lone"], ["of a batch"])
    for crowd in (batch, lone):
        crowd.release.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(("slots", "rank"), [(1, ALONE), (2, IN_A_BATCH)], ids=["the last slot", "for another batch"])
async def test_from_a_batch_nothing_is_kept(slots: int, rank: int) -> None:
    limiter = Limiter(slots)
    batch = Crowd(limiter)
    with limiter.expecting(rank):
        tasks = [asyncio.create_task(batch.enter(str(number), IN_A_BATCH)) for number in range(slots)]
        await settle()
        assert len(batch.inside) == slots
    batch.release.set()
    await asyncio.gather(*tasks)


async def quick(most: int) -> Limiter:
    """One whose last call was quick."""
    limiter = Limiter(most)
    async with limiter.slot() as slot:
        await slot.begin()
    return limiter


async def full(limiter: Limiter, slots: int, several: int = 5) -> tuple[Crowd, Crowd, list[asyncio.Task[None]]]:
    """All slots taken, and a batch that waits."""
    first, batch = Crowd(limiter), Crowd(limiter)
    tasks = [asyncio.create_task(first.enter(str(number))) for number in range(slots)]
    await settle()
    tasks += [asyncio.create_task(batch.enter(str(number), IN_A_BATCH)) for number in range(several)]
    await settle()
    return first, batch, tasks


async def test_of_a_batch_a_few_are_made_ready_and_begin_as_soon_as_a_slot_is_free() -> None:
    limiter = await quick(1)
    first, batch, tasks = await full(limiter, 1)
    assert (batch.ready, batch.inside) == (["0", "1"], []), f"{AHEAD} are ahead"
    first.release.set()
    await settle()
    assert (batch.ready, batch.inside) == (["0", "1", "2"], ["0"])
    batch.release.set()
    await asyncio.gather(*tasks)
    assert batch.inside == ["0", "1", "2", "3", "4"]


async def test_who_is_alone_begins_before_what_is_ready_and_is_never_made_ready_ahead() -> None:
    limiter = await quick(1)
    first, batch, tasks = await full(limiter, 1)
    lone = Crowd(limiter)
    tasks.append(asyncio.create_task(lone.enter("lone")))
    await settle()
    assert lone.ready == []
    first.release.set()
    await settle()
    assert (lone.inside, batch.inside) == (["lone"], [])
    lone.release.set()
    batch.release.set()
    await asyncio.gather(*tasks)


async def test_after_a_limit_none_is_made_ready_ahead() -> None:
    limiter = await quick(2)
    limiter.back_off()
    first, batch, tasks = await full(limiter, 1)
    assert batch.ready == []
    first.release.set()
    batch.release.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("slow", [False, True])
async def test_nor_before_the_first_call_or_after_a_slow_one_until_a_quick_one(
    monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    if slow:
        monkeypatch.setattr(limits, "QUICK_SECONDS", 0.0)
    limiter = await quick(1) if slow else Limiter(1)
    first, batch, tasks = await full(limiter, 1)
    assert batch.ready == []
    monkeypatch.undo()
    first.release.set()
    await settle()
    assert (batch.ready, batch.inside) == (["0", "1", "2"], ["0"])
    batch.release.set()
    await asyncio.gather(*tasks)


async def test_who_is_ready_gives_up_in_time_and_takes_nothing_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOLD_SECONDS", 0.01)
    limiter = await quick(1)
    first, batch, tasks = await full(limiter, 1, several=AHEAD)
    done = await asyncio.wait_for(asyncio.gather(*tasks[1:], return_exceptions=True), 1)
    assert [type(one) for one in done] == [NotYet] * AHEAD
    assert batch.inside == []
    monkeypatch.undo()
    late = Crowd(limiter)
    tasks.append(asyncio.create_task(late.enter("late", IN_A_BATCH)))
    await settle()
    assert late.ready == [], "while that call takes long, none waits in vain once more"
    first.release.set()
    late.release.set()
    await asyncio.gather(tasks[0], tasks[-1])
    again = Crowd(limiter)
    again.release.set()
    await asyncio.wait_for(asyncio.gather(*(again.enter(str(number), IN_A_BATCH) for number in range(3))), 1)
    assert again.inside == ["0", "1", "2"]


async def test_who_makes_no_call_says_nothing_of_how_long_calls_take() -> None:
    limiter = Limiter(1)
    async with limiter.slot():
        pass
    first, batch, tasks = await full(limiter, 1)
    assert batch.ready == []
    first.release.set()
    batch.release.set()
    await asyncio.gather(*tasks)


async def test_who_is_ready_and_cancelled_leaves_the_place_to_the_next() -> None:
    limiter = await quick(1)
    first, batch, tasks = await full(limiter, 1)
    tasks[1].cancel()
    await settle()
    assert batch.ready == ["0", "1", "2"]
    tasks[2].cancel()  # as its slot gets free
    first.release.set()
    await settle()
    assert batch.inside == ["2"]
    batch.release.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert batch.inside == ["2", "3", "4"]
