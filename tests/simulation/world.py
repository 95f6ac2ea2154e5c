"""The world of one run: the embedded Slack and Sift, one database, and some processes of the real bot."""

import asyncio
import contextlib
import gc
import sys
import warnings
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import count
from random import Random
from typing import Any, cast

import aiohttp
import httpx

from bot.app.bot import Bot
from bot.app.outside import Outside
from bot.base.clock import Clock
from bot.db.database import Database
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.sift.jobs import SandboxJob
from bot.sandbox.slack import views
from bot.sandbox.slack.delivery import Answer, Request, Transport, _decoded, _encoded, signature
from bot.sandbox.slack.directory import ADMIN, LAUNCH_OPS
from bot.sandbox.slack.workspace import SlackWorkspace
from bot.settings import Settings, load
from tests.simulation.databases import Row, Storage
from tests.simulation.faults import Faults
from tests.simulation.loop import PROCESS, Process, SimulatedLoop
from tests.simulation.network import Call, Network, SiftTransport, SlackSession, Weather, serve
from tests.simulation.store import Fate, InLoop, SimulatedWorker
from tests.simulation.trace import Trace

EPOCH = datetime(2026, 11, 20, 11, 59, 50, tzinfo=UTC)
STOP_SECONDS = 10.0
"""A stop takes no longer (docs/operating.md)."""


@dataclass(frozen=True)
class Plan:
    """What kind of run a seed makes."""

    replicas: int
    seconds: float
    actions: int
    settings: dict[str, str]


@dataclass(frozen=True)
class Person:
    """Somebody, as far as policy goes."""

    deleted: bool
    groups: tuple[str, ...]


class Replica:
    """One process of the bot, and the ones that follow it when it is killed."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.offset = timedelta(0)
        self.process = Process("none")
        self.process.alive = False
        self.bot: Bot | None = None
        self.working: asyncio.Task[None] | None = None
        self.stop = asyncio.Event()
        self.steps_left: int | None = None
        self._starts = count(1)

    def clock(self) -> datetime:
        """The moment by this machine's clock, which may be wrong."""
        return self.world.now() + self.offset

    @property
    def works(self) -> bool:
        """Whether it takes requests."""
        return self.process.alive and not self.process.stopped and self.bot is not None and self.bot._bolt is not None

    def start(self) -> None:
        """Starts the process anew, on whatever is in the database."""
        self.process = Process(f"bot{self.number}.{next(self._starts)}")
        self.process.before_step = self._before_step
        self.steps_left = None
        self.stop = asyncio.Event()
        context = copy_context()
        context.run(PROCESS.set, self.process)
        self.bot = context.run(self._make)
        self.working = self.world.loop.create_task(self._work(self.bot), context=context)
        self.world.loop.create_task(self._supervise(self.process, self.working, self.stop))
        self.world.note(self.process.name, "starts")

    async def _supervise(self, process: Process, working: "asyncio.Task[None]", stop: asyncio.Event) -> None:
        """Starts a process anew that ended by itself, as a platform does."""
        await asyncio.wait([working])
        if stop.is_set() or not process.alive:
            return
        self.world.note(process.name, f"ends: {working.exception()!r}")
        process.alive = False
        self._give_back()
        await asyncio.sleep(2)
        if self.process is process:
            self.start()

    def _make(self) -> Bot:
        outside = Outside(
            database=self._database,
            session=lambda: cast(aiohttp.ClientSession, SlackSession(self.world.network)),
            transport=lambda: cast(httpx.AsyncBaseTransport, SiftTransport(self.world.network)),
        )
        return Bot(self.world.settings, self.clock, self.world.loop.time, outside)

    def _database(self, url: str, clock: Clock) -> Database:
        storage, timer = self.world.storage, self.world.loop.time
        worker = partial(
            SimulatedWorker, fate=self._fate, kill=self.die, sleep=self.sleep, storage=storage, timer=timer
        )
        database = storage.kind(url, clock, worker=worker, readers=InLoop(lambda: 0.002), timer=timer)
        storage.tune(database)
        return database

    async def _work(self, bot: Bot) -> None:
        with bot:
            await bot.work(self.stop)

    def _fate(self, works: int) -> Fate:
        fate = self.world.faults.fate(self.world.loop.time(), self.process.name)
        self.world.note(self.process.name, f"commits {works} {_odd(fate)}")
        return fate

    def _before_step(self) -> None:
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left <= 0:
                self.kill()

    def sleep(self, seconds: float = 70.0) -> None:
        """Stops the process for a while, by default for longer than its lease."""
        process = self.process
        process.stopped = True
        self.world.note(process.name, "is stopped")
        self.world.loop.call_later(seconds, self._wake, process, context=Context())

    def _wake(self, process: Process) -> None:
        if process.stopped:
            self.world.note(process.name, "goes on")
            self.world.loop.resume(process)

    def die(self) -> None:
        """Ends the process where it is, and starts it again after a while, as a platform does."""
        self.kill()
        self.world.loop.call_later(self.world.faults.back_after(), self._come_back, self.process, context=Context())

    def _come_back(self, process: Process) -> None:
        if self.process is process and not process.alive:
            self.start()

    def kill(self) -> None:
        """Ends the process where it is; nothing is tidied up but what the system itself gives back."""
        if not self.process.alive:
            return
        self.world.note(self.process.name, "is killed")
        self.process.alive = False
        self.process.withheld.clear()
        self._give_back()

    def _give_back(self) -> None:
        assert self.bot is not None
        for engine in self.bot.database.engines:
            engine.dispose()
        if self.bot.database._file is not None:
            self.bot.database._file.release()

    def end(self) -> None:
        """Frees what the run still holds."""
        self.process.alive = False
        if self.bot is not None:
            self._give_back()


class World:
    """Everything of one run.

    Args:
        seed: what it is made from.
        plan: how large it is.
        store: makes its database, whose clock, if it has one of its own, is the true one.
        keep: whether the trace is kept to be read.
    """

    def __init__(self, seed: str, plan: Plan, store: Callable[[Clock], Storage], keep: bool = False) -> None:
        self.random = Random(f"{seed} people")
        self.loop = SimulatedLoop(Random(f"{seed} order"))
        self.plan = plan
        self.trace = Trace(keep)
        self.violations: list[str] = []
        self.faults = Faults(Random(f"{seed} faults"), plan.replicas, plan.seconds)
        self.storage = store(self.now)
        views._fresh = count(1)  # what it counts must not depend on earlier runs
        self.slack = SimulatedSlack(self)
        self.sift = EmbeddedSift(clock=self.now, run_seconds=self.random.choice((1.0, 6.0, 20.0)))
        self.slack.base_url = "http://127.0.0.1/slack"
        apps = {"slack": self.slack.app, "sift": self.sift.app}
        self.network = Network(apps, self._weather, self._leaves, copy_context())
        self.leaving: list[Callable[[Call, Weather], None]] = []
        self.replicas = [Replica(self, number) for number in range(1, plan.replicas + 1)]
        self.added: list[SandboxJob] = []
        self._people: list[tuple[float, dict[str, Person]]] = []
        self.people_changed()

    def people_changed(self) -> None:
        """Remembers who is in the workspace from now on."""
        groups = self.slack.groups.values()
        self._people.append(
            (
                self.loop.time(),
                {
                    user.id: Person(user.deleted, tuple(group.id for group in groups if user.id in group.members))
                    for user in self.slack.users.values()
                },
            )
        )

    def person_between(self, user_id: str, since: datetime, until: datetime) -> list[Person]:
        """Somebody as they were at the beginning of a time, and as they became during it."""
        begin, end = ((moment - EPOCH).total_seconds() for moment in (since, until))
        before = [people for at, people in self._people if at <= begin]
        during = [people for at, people in self._people if begin < at <= end]
        return [people[user_id] for people in [*before[-1:], *during]]

    def now(self) -> datetime:
        """The true moment."""
        return EPOCH + timedelta(seconds=self.loop.time())

    @cached_property
    def settings(self) -> Settings:
        """The settings of every process; reading them takes longer than many a transaction."""
        return load(Settings, self.environment)

    @property
    def environment(self) -> dict[str, Any]:
        """What they are read from."""
        return {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_SIGNING_SECRET": self.slack.signing_secret,
            "SLACK_API_URL": "http://world/slack/api/",
            "SIFT_REST_URI": "https://world/sift",
            "SIFT_API_KEY": self.sift.api_key,
            "ADMINS": ADMIN,
            "ALERT_CHANNEL": LAUNCH_OPS,
            "DATABASE_URL": self.storage.url,
            **self.plan.settings,
        }

    def contents(self) -> dict[str, bytes]:
        """Whatever the bot wrote into its database, by its place."""
        return self.storage.contents()

    def lose_power(self) -> None:
        """Ends every process, and loses whatever was committed since the last flush."""
        self.note("world", "loses power")
        for replica in self.replicas:
            replica.kill()
        self.storage.lose_power()

    def note(self, who: str, what: str, more: str = "") -> None:
        """Writes a line into the trace; `more` is only for whoever reads it."""
        self.trace.note(self.loop.time(), who, what, more)

    def violated(self, name: str, what: str) -> None:
        """Notes that an invariant does not hold."""
        self.violations.append(f"{name}: {what}")
        self.note("WRONG", self.violations[-1])

    def rows(self, query: str, *values: object) -> Sequence[Row]:
        """What a query finds in the database as it is committed, beside the bot."""
        return self.storage.rows(query, values)

    def of(self, process: Process) -> Replica:
        """Whose process it is."""
        return next(replica for replica in self.replicas if replica.process is process)

    def _weather(self, call: Call) -> Weather:
        return self.faults.weather(call, self.loop.time())

    def _leaves(self, call: Call, weather: Weather) -> None:
        process = PROCESS.get()
        name = process.name if process else "world"
        body = call.body[:300].decode(errors="replace") if self.trace.keep else ""
        self.note(name, f"{call.peer} {call.method} {call.path} {weather.name} {len(call.body)}", body)
        for told in self.leaving:
            told(call, weather)
        if weather.dies and process is not None:
            self.of(process).die()

    def end(self) -> None:
        """Closes what is open, without running any of the bot's code."""
        for replica in self.replicas:
            replica.end()
        for task in self.loop.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is pending, and known to be
        told, sys.unraisablehook = sys.unraisablehook, lambda _: None  # what is closed while it runs complains
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what never began is never awaited
            self._close()
        sys.unraisablehook = told

    def _close(self) -> None:
        for task in self.loop.tasks:
            if not task.done():
                with contextlib.suppress(BaseException):
                    task.get_coro().close()
        self.loop.tasks.clear()
        self.loop.close()
        for replica in self.replicas:
            replica.bot = replica.working = None
        gc.collect()
        self.storage.close()


class SimulatedSlack(SlackWorkspace):
    """A workspace whose requests reach one of the bot's processes, or none."""

    def __init__(self, world: World) -> None:
        super().__init__(world.now)
        self._world = world

    @property
    def _transport(self) -> Transport:
        return _ToSomeReplica(self._world)


class _ToSomeReplica:
    def __init__(self, world: World) -> None:
        self._world = world

    async def deliver(self, request: Request, seconds: float) -> Answer:
        """Posts a request to one of the processes, as a load balancer does."""
        world = self._world
        running = [replica for replica in world.replicas if replica.process.alive]
        if not running:
            return Answer()
        replica = world.random.choice(running)
        assert replica.bot is not None
        body, kind = _encoded(request)
        headers = {"content-type": kind, **signature(world.slack.signing_secret, body)}
        context = copy_context()
        context.run(PROCESS.set, replica.process)
        call = Call("bot", "POST", "/slack/events", headers, body)
        world.note("slack", f"to {replica.process.name}: {request.kind} {_short(request)}")
        answering = world.loop.create_task(serve(replica.bot.http, call), context=context)
        await asyncio.wait([answering], timeout=seconds)
        answer = answering.result() if answering.done() and not answering.exception() else None
        world.note("slack", f"gets {answer.status if answer else None} for {_short(request)}")
        if answer is None:
            return Answer()
        kind = answer.headers.get("content-type", "").partition(";")[0]
        return Answer(answer.status, _decoded(kind, answer.body.decode()))


def _short(request: Request) -> str:
    payload = request.payload
    action = (payload.get("actions") or [{}])[0].get("action_id", "")
    event = (payload.get("event") or {}).get("type", "")
    user = payload.get("user_id") or (payload.get("user") or {}).get("id", "")
    return " ".join(
        str(part) for part in (user, payload.get("type", ""), payload.get("text", ""), action, event) if part
    )


def _odd(fate: Fate) -> str:
    """What is odd about a transaction."""
    odd = [name for name, value in vars(fate).items() if value is True]
    return " ".join(odd) or ("slow" if fate.before + fate.after > 0.1 else "")
