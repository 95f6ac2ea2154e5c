"""One run: rounds of people and troubles; then the world is left in peace, and everything is looked at."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bot.sandbox.slack.directory import ADMIN, LAUNCH_OPS
from tests.chaos import cluster
from tests.chaos.processes import START_SECONDS
from tests.chaos.world import Figures, Plan, World

PAST_THE_LEASE = 65.0
CLICKS_A_SECOND = 200
BURST_SECONDS = 2.0
SILENT_SECONDS = 4.0
FULL_SECONDS = 2.0
KILL_EVERY = 1.0
KILLS_UNTIL_REST = 50
OTHER_TROUBLE_EVERY = 10
"""Where one process after the other is killed, every so many kills something else breaks as well."""

Trouble = Callable[[World], Awaitable[None]]


async def run(
    seed: str,
    plan: Plan,
    rounds: int,
    kinds: frozenset[str] | None = None,
    kills: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Figures, list[str]]:
    """Makes one run.

    Args:
        kinds: only these troubles.
        kills: so many, one soon after the other, instead of rounds.
        say: told of each rest on the way.

    Returns:
        Its figures, and the invariants that do not hold.
    """
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos")))
        database = stack.enter_context(cluster.running()) if plan.database == "postgresql" else None
        world = World(seed, plan, directory, database)
        began = time.monotonic()
        async with world.going_on() as environment:
            await _until_ready(world)
            if kills:
                await _kill_again_and_again(world, kills, kinds, environment, say)
            else:
                await _live(world, rounds, kinds)
            await _leave_in_peace(world)
            if await world.rest():
                await _stop(world)
                await world.look(environment, world.people.delivered)
        world.figures.seconds = time.monotonic() - began
        _count(world)
        return world.figures, world.violations


async def _kill_again_and_again(
    world: World,
    kills: int,
    kinds: frozenset[str] | None,
    environment: dict[str, str],
    say: Callable[[str], None],
) -> None:
    """Kills one process after the other while people act and the others go on; now and then the world comes to rest."""
    await _allow(world)
    others = {name: trouble for name, (_, trouble) in TROUBLES[world.plan.database].items() if name in (kinds or ())}
    others.pop("kill", None)
    while world.figures.kills < kills and not world.violations:
        await _until_ready(world)
        acting = asyncio.create_task(_act_all_the_time(world))
        try:
            for number in range(min(KILLS_UNTIL_REST, kills - world.figures.kills)):
                await asyncio.sleep(world.troubles.uniform(0, 2 * KILL_EVERY))
                await _until_ready(world, len(world.processes) // 2)
                await _kill(world)
                world.figures.troubles["kill"] += 1
                if world.figures.kills % 10 == 0:
                    say(f"{world.figures.kills} kills, {len(world.people.delivered)} deliveries")
                if others and number % OTHER_TROUBLE_EVERY == OTHER_TROUBLE_EVERY - 1:
                    name = world.troubles.choice(sorted(others))
                    world.figures.troubles[name] += 1
                    await others[name](world)
        finally:
            acting.cancel()
            await asyncio.wait([acting])
        acting.result()
        await _leave_in_peace(world)
        if not await world.rest():
            return
        await world.look(environment, world.people.delivered)
        world.figures.rounds += 1
        say(f"{world.figures.kills} kills, {len(world.violations)} violations")


async def _act_all_the_time(world: World) -> None:
    """People act, two or three a second; what they began they finish."""
    people = world.people
    async with asyncio.TaskGroup() as group:
        try:
            while True:
                await asyncio.sleep(world.random.uniform(0, 0.8))
                group.create_task(people._guarded(people._act))
        except asyncio.CancelledError:
            return


async def _allow(world: World) -> None:
    for who in ("@operator", "@sift-operators"):
        await world.people._deliver(world.slack.command(ADMIN, LAUNCH_OPS, f"allow {who}"))


async def _live(world: World, rounds: int, kinds: frozenset[str] | None) -> None:
    people, draw = world.people, world.troubles
    await _allow(world)
    chosen = {name: value for name, value in TROUBLES[world.plan.database].items() if kinds is None or name in kinds}
    doing: set[asyncio.Task[None]] = set()
    for _ in range(rounds):
        await _until_ready(world)
        for _ in range(draw.randint(2, 6)):
            doing.add(asyncio.create_task(people._guarded(people._act)))
        await asyncio.sleep(draw.uniform(0, 0.5))
        (name,) = draw.choices(list(chosen), [weight for weight, _ in chosen.values()])
        world.figures.troubles[name] += 1
        world.figures.rounds += 1
        await chosen[name][1](world)
        doing = {task for task in doing if not task.done() or task.exception()}
    await asyncio.gather(*doing)


# What goes wrong


async def _kill(world: World) -> None:
    ready = [process for process in world.processes if process.ready]
    if ready:
        world.troubles.choice(ready).kill()
        world.figures.kills += 1


async def _pause(world: World) -> None:
    """Some process sleeps past its lease, while the others go on."""
    working = [process for process in world.processes if process.ready and not process.stopped]
    if len(working) > 1:
        world.troubles.choice(working).pause(PAST_THE_LEASE)


async def _pause_alone(world: World) -> None:
    world.processes[0].pause(world.troubles.uniform(0.5, 4))


async def _restart(world: World) -> None:
    assert world.cluster is not None
    await asyncio.to_thread(world.cluster.restart, world.troubles.choice(("fast", "immediate")))


async def _silence(world: World) -> None:
    """Packets are dropped for a while, and then either arrive after all, or never."""
    assert world.cluster is not None
    relay = world.cluster.relay
    assert relay is not None
    relay.silence()
    await asyncio.sleep(SILENT_SECONDS)
    world.troubles.choice((relay.speak, relay.forget))()


async def _promote(world: World) -> None:
    assert world.cluster is not None
    await asyncio.to_thread(world.cluster.promote)


async def _burst(world: World) -> None:
    """Many people click at once."""
    people, number = world.people, int(CLICKS_A_SECOND * BURST_SECONDS)

    async def click(after: float) -> None:
        await asyncio.sleep(after)
        await people._guarded(people._retry_by_command)

    await asyncio.gather(*(click(one / CLICKS_A_SECOND) for one in range(number)))


async def _cut(world: World) -> None:
    await world.slack.cut()


async def _refresh(world: World) -> None:
    await world.slack.disconnect()


async def _fill_disk(world: World) -> None:
    """No file grows any more, for a while."""
    size = max((file.stat().st_size for file in world.directory.glob("bot.db*")), default=0)
    process = world.processes[0]
    process.limit_files(size)
    await asyncio.sleep(FULL_SECONDS)
    process.limit_files(-1)


_ANYWHERE: dict[str, tuple[int, Trouble]] = {"kill": (20, _kill), "cut": (1, _cut), "refresh": (1, _refresh)}
TROUBLES: dict[str, dict[str, tuple[int, Trouble]]] = {
    "postgresql": {
        **_ANYWHERE,
        "pause": (1, _pause),
        "restart": (1, _restart),
        "silence": (1, _silence),
        "promote": (1, _promote),
        "burst": (1, _burst),
    },
    "sqlite": {**_ANYWHERE, "pause": (2, _pause_alone), "full disk": (4, _fill_disk)},
}
"""What goes wrong, and how often beside the others."""


# Afterwards


async def _until_ready(world: World, number: int = 2) -> None:
    """Waits until some take requests, two so that one can go, or the only one does."""
    async with asyncio.timeout(2 * START_SECONDS):
        while sum(process.ready for process in world.processes) < min(max(2, number), len(world.processes)):
            await asyncio.sleep(0.05)


async def _leave_in_peace(world: World) -> None:
    """Whoever sleeps past the lease does so to its end: what it does then is the point."""
    async with asyncio.timeout(PAST_THE_LEASE + 2 * START_SECONDS):
        while not all(process.ready and not process.stopped for process in world.processes):
            await asyncio.sleep(0.1)


async def _stop(world: World) -> None:
    codes = await asyncio.gather(*(process.stop() for process in world.processes))
    for number, code in enumerate(codes):
        if code != os.EX_OK:
            world.violated("a stop takes ten seconds", f"process {number} ended with {code}")


def _count(world: World) -> None:
    figures, delivered = world.figures, world.people.delivered
    figures.clicks = len(delivered)
    figures.acked = sum(one.acked for one in delivered)
    figures.requests = int(world.rows("SELECT count(*) AS number FROM retries")[0]["number"])
    figures.lost = sum(violation.startswith("nothing acknowledged is lost") for violation in world.violations)
