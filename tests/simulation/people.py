"""What people do in a run, drawn from the seed: they type, click, click twice, and change who may what."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random
from typing import Any

from bot.sandbox.sift.jobs import FINISHED, RUNNING, SandboxJob
from bot.sandbox.slack.directory import (
    ADMIN,
    BOT_USER,
    DATA_IMPORTS,
    LAUNCH_OPS,
    OPERATOR,
    OPERATORS_GROUP,
    SECOND_OPERATOR,
    UNLISTED,
)
from bot.sandbox.slack.messages import Message
from bot.sandbox.slack.views import NotOnScreen
from bot.sandbox.slack.workspace import Delivered
from tests.simulation.world import World

THEN = ("finish", "finish", "fail", "fail at once")
ACTS = {
    "retry_by_command": 9,
    "retry_several": 2,
    "mention": 2,
    "press": 6,
    "approve": 2,
    "on_call": 1,
    "redeliver": 2,
    "something_fails": 3,
    "moves_outside": 1,
    "look": 1,
    "access_changes": 2,
    "somebody_leaves": 1,
}
"""What they do, and how often beside the others."""

WHO = (OPERATOR, OPERATOR, OPERATOR, SECOND_OPERATOR, ADMIN, ADMIN, UNLISTED)
WHERE = (LAUNCH_OPS, LAUNCH_OPS, DATA_IMPORTS)


class People:
    """Everybody.

    Args:
        world: in which they act, until it is left in peace.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.draw: Random = world.random
        self.slack, self.sift = world.slack, world.sift
        self.delivered: list[Delivered] = []
        self.doing: list[asyncio.Task[None]] = []

    async def live(self) -> None:
        """Lets everybody act, and things go wrong, until the time for that is over."""
        world = self.world
        await asyncio.sleep(1)
        await self._deliver(self.slack.command(ADMIN, LAUNCH_OPS, "allow @operator"))
        await self._deliver(self.slack.command(ADMIN, LAUNCH_OPS, "allow @sift-operators"))
        moments = sorted(self.draw.uniform(0, world.plan.seconds) for _ in range(world.plan.actions))
        troubles = self._troubles()
        everything = sorted(
            [(at, self._act) for at in moments] + [(at, trouble) for at, trouble in troubles], key=lambda one: one[0]
        )
        for at, act in everything:
            await asyncio.sleep(max(0.0, at - world.loop.time()))
            self.doing.append(asyncio.create_task(self._guarded(act)))
        await asyncio.sleep(max(0.0, world.plan.seconds - world.loop.time()))
        await asyncio.gather(*self.doing)

    async def _guarded(self, act: Callable[[], Awaitable[None]]) -> None:
        with contextlib.suppress(NotOnScreen):  # it was there a moment ago
            await act()

    async def _deliver(self, acting: Awaitable[Delivered]) -> Delivered:
        delivered = await acting
        self.delivered.append(delivered)
        return delivered

    async def _act(self) -> None:
        (act,) = self.draw.choices(list(ACTS), list(ACTS.values()))
        await getattr(self, f"_{act}")()

    # What they do

    def _job(self) -> SandboxJob:
        known = list(self.sift.jobs.values())
        failed = [job for job in known if job.retryable(self.world.now())]
        if not failed or self.draw.random() < 0.4:
            return self._new_job()
        return self.draw.choice(failed[-4:] if self.draw.random() < 0.8 else known)

    def _new_job(self) -> SandboxJob:
        job = self.sift.add(then=[self.draw.choice(THEN) for _ in range(3)])
        self.world.added.append(job)
        self.world.note("sift", f"{job.job_id} fails, then {job.then}")
        return job

    async def _retry_by_command(self) -> None:
        job_id = self._job().job_id if self.draw.random() < 0.95 else "01234567-89ab-4cde-8f01-23456789abcd"
        user, channel = self.draw.choice(WHO), self.draw.choice(WHERE)
        await self._perhaps_twice(lambda: self.slack.command(user, channel, f"{job_id} because of it"))

    async def _retry_several(self) -> None:
        jobs = " ".join({self._job().job_id: None for _ in range(self.draw.randint(2, 5))})
        await self._perhaps_twice(lambda: self.slack.command(self.draw.choice(WHO), LAUNCH_OPS, jobs))

    async def _mention(self) -> None:
        text = f"<@{BOT_USER}> retry {self._job().job_id}"
        delivered = await self._deliver(self.slack.mention(self.draw.choice(WHO), LAUNCH_OPS, text))
        for _ in range(3):  # Slack delivers events again
            if delivered.acked or not delivered.reached:
                break
            await asyncio.sleep(1)
            delivered = await self._deliver(self.slack.redeliver(delivered))

    async def _press(self) -> None:
        messages = [
            message
            for channel in (LAUNCH_OPS, DATA_IMPORTS)
            for message in self.slack.channel(channel).messages
            if message.user == BOT_USER and message.buttons()
        ]
        if not messages:
            return
        message = self.draw.choice(messages[-6:])
        button = self.draw.choice([one for one in message.buttons() if "url" not in one] or [{}])
        if button:
            await self._press_button(message, button)

    async def _approve(self) -> None:
        """Somebody answers who is asked for their approval; several may at once."""
        await self._press_one_of("approve_retry", "approve_retry", "decline_retry", "override_retry")

    async def _on_call(self) -> None:
        """Somebody takes a failure, gives it back, or has it come back later."""
        await self._press_one_of("take_failure", "take_failure", "release_failure", "snooze_failure", "end_snooze")

    async def _press_one_of(self, *action_ids: str) -> None:
        action_id = self.draw.choice(action_ids)
        for message in reversed(self.slack.channel(LAUNCH_OPS).messages):
            if message.user == BOT_USER:
                for button in message.buttons():
                    if button.get("action_id") == action_id:
                        await self._press_button(message, button)
                        return

    async def _press_button(self, message: Message, button: dict[str, Any]) -> None:
        user = self.draw.choice(WHO)
        before = {view.id for view in self.slack.modals[user]}
        await self._perhaps_twice(
            lambda: self.slack.click(user, message.channel, message.ts, button["action_id"], value=button.get("value"))
        )
        for _ in range(20):
            opened = [view for view in self.slack.modals[user] if view.id not in before]
            if opened:
                await self._submit(user, opened[-1].id)
                return
            await asyncio.sleep(0.1)

    async def _submit(self, user: str, view_id: str) -> None:
        await self._perhaps_twice(lambda: self.slack.submit(user, view_id, {"reason": "it is wrong"}))

    async def _redeliver(self) -> None:
        if self.delivered:
            await self._deliver(self.slack.redeliver(self.draw.choice(self.delivered)))

    async def _perhaps_twice(self, act: Callable[[], Awaitable[Delivered]]) -> None:
        """Impatient people do things twice, and Slack delivers things twice."""
        kind = self.draw.random()
        if kind < 0.15:
            await asyncio.gather(self._deliver(act()), self._guarded_twice(act))
            return
        delivered = await self._deliver(act())
        if kind < 0.3 and delivered.reached:
            await self._deliver(self.slack.redeliver(delivered))

    async def _guarded_twice(self, act: Callable[[], Awaitable[Delivered]]) -> None:
        await asyncio.sleep(self.draw.choice((0, 0.02, 0.3)))
        with contextlib.suppress(NotOnScreen):
            await self._deliver(act())

    async def _look(self) -> None:
        user = self.draw.choice(WHO)
        if self.draw.random() < 0.4:
            await self._deliver(self.slack.home_opened(user))
        else:
            word = self.draw.choice(("help", "list", "access", "audit", "stats", f"status {self._job().job_id}"))
            await self._deliver(self.slack.command(user, LAUNCH_OPS, word))

    # What happens to them

    async def _something_fails(self) -> None:
        for _ in range(self.draw.choice((1, 1, 2, 4))):
            if self.draw.random() < 0.85:
                self._new_job()
            else:
                self.sift.add(status=self.draw.choice((RUNNING, FINISHED)))

    async def _moves_outside(self) -> None:
        job = self._job()
        if job.retryable(self.world.now()):
            self.sift.retry_outside(job.job_id, "1f0c8f1e-7a55-4a7c-8a0b-3d0f6b6f9a02")
            self.world.note("sift", f"{job.job_id} is retried by somebody else")

    async def _access_changes(self) -> None:
        user = self.slack.users[self.draw.choice((OPERATOR, SECOND_OPERATOR, UNLISTED))].handle
        text = self.draw.choice(
            (f"allow @{user}", f"allow @{user} for 20s", f"revoke @{user}", f"allow @{user} admin for 1m")
        )
        await self._deliver(self.slack.command(ADMIN, LAUNCH_OPS, text))

    async def _somebody_leaves(self) -> None:
        user = self.slack.users[self.draw.choice((OPERATOR, SECOND_OPERATOR, UNLISTED))]
        group = self.slack.groups[OPERATORS_GROUP].members
        if self.draw.random() < 0.5:
            user.deleted = not user.deleted
            self.world.note("slack", f"{user.id} is {'deactivated' if user.deleted else 'back'}")
        elif user.id in group:
            group.remove(user.id)
            self.world.note("slack", f"{user.id} leaves the group")
        else:
            group.append(user.id)
            self.world.note("slack", f"{user.id} joins the group")
        self.world.people_changed()

    # What happens to the processes

    def _troubles(self) -> list[tuple[float, Callable[[], Awaitable[None]]]]:
        faults, draw = self.world.faults, self.world.faults.random
        acts = {"killed": self._kill, "stopped": self._stop, "clock": self._clock, "power": self._power}
        return [
            (draw.uniform(0, self.world.plan.seconds), acts[kind])
            for kind in faults.processes
            for _ in range(draw.randint(1, 3))
        ]

    async def _kill(self) -> None:
        """Kills a process at one of its next steps, whatever that is, and starts it again after a while."""
        draw = self.world.faults.random
        replica = draw.choice(self.world.replicas)
        replica.steps_left = draw.randint(1, draw.choice((5, 100, 1_000)))
        await asyncio.sleep(draw.choice((0.5, 5, 30)))
        await self.restart()

    async def _power(self) -> None:
        """The machines fail, and so does the database's."""
        self.world.lose_power()
        await asyncio.sleep(self.world.faults.random.choice((0.5, 5, 30)))
        await self.restart()

    async def restart(self) -> None:
        """Starts whatever is dead."""
        for replica in self.world.replicas:
            if not replica.process.alive:
                replica.start()

    async def _stop(self) -> None:
        """Stops a process for a while, such as longer than its lease."""
        draw = self.world.faults.random
        replica = draw.choice(self.world.replicas)
        replica.sleep(draw.choice((1.0, 5.0, 20.0, 70.0, 130.0)))

    async def _clock(self) -> None:
        draw = self.world.faults.random
        replica = draw.choice(self.world.replicas)
        seconds = draw.choice((-3_600, -100, -20, 20, 100, 3_600))
        replica.offset += timedelta(seconds=seconds)
        self.world.note(replica.process.name, f"has its clock moved by {seconds} s")
