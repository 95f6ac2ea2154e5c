"""What the bot costs, beside what it is compared with, in one run: `python -m bench [ack people rest follow audit]`.

Ratios are what counts: all contenders run at the same time on the same machine, and take turns round by round, so
that noise hits them alike. Absolute figures vary from machine to machine.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path

import uvloop

from bench.audit_log import measure_audit
from bench.load import BIN, Running, Typists, cpu_seconds, milliseconds, resident_megabytes, up
from bot.access import grants
from bot.access.policy import Role
from bot.app.server import serving
from bot.base.clock import utc_now
from bot.db.database import Database, migrate
from bot.sandbox import OPERATOR, Sandbox
from bot.sift.ids import JOB_ID

ROUNDS = 10
CROWD = 20


def say(name: str, figure: str, goal: str = "") -> None:
    """Prints one line of the table."""
    print(f"  {name:<58} {figure:>16}   {goal}".rstrip(), flush=True)


class Arena:
    """The sandbox as everybody's peer, and the contenders beside it."""

    def __init__(self, sandbox: Sandbox, url: str, directory: Path, typists: Typists) -> None:
        self.sandbox = sandbox
        self.typists = typists
        self.directory = directory
        self.environment = {
            **sandbox.environment(url, socket_mode=False),
            "REQUESTS_PER_MINUTE": "0",
            "RETRY_COOLDOWN_SECONDS": "0",
            "LOG_LEVEL": "warning",
        }

    @contextlib.asynccontextmanager
    async def ours(self, **settings: str) -> AsyncIterator[Running]:
        """`sift-retry run` over HTTP, on a fresh SQLite file; Slack's limits apply to none of the contenders."""
        file = tempfile.mktemp(dir=self.directory, suffix=".db")  # in a directory of our own
        database = Database(f"sqlite:///{file}", utc_now)
        migrate(database.engine)
        with database.transaction() as connection:
            grant = grants.NewGrant(subject=OPERATOR, role=Role.OPERATOR, granted_by="cli:bench")
            grants.grant(connection, grant, utc_now())
        database.close()
        command = (str(BIN / "python"), "-m", "bench.unpaced")
        async with up(
            *command, path="/readyz", **{**self.environment, "DATABASE_URL": f"sqlite:///{file}", **settings}
        ) as running:
            yield running

    @contextlib.asynccontextmanager
    async def usual(self) -> AsyncIterator[Running]:
        """The bot most people would write, with gunicorn's threads."""
        database = f"sqlite:///{self.directory}/usual.db"
        command = (
            str(BIN / "gunicorn"),
            "--preload",
            "-w",
            "2",
            "--threads",
            "8",
            "-b",
            "127.0.0.1:{port}",
            "bench.usual_bot:flask_app",
        )
        async with up(*command, path="/healthz", **self.environment, USUAL_DATABASE_URL=database) as running:
            yield running

    @contextlib.asynccontextmanager
    async def peer(self, name: str) -> AsyncIterator[Running]:
        """One of `bench.peers`."""
        command = (sys.executable, "-m", "bench.peers", name, "{port}")
        async with up(*command, path="/slack/events", **self.environment) as running:
            yield running

    def job_ids(self, count: int) -> list[str]:
        """So many failed jobs that end at once when they are retried."""
        return [job.job_id for job in self.sandbox.sift.outage(count)]

    async def shown(self, job_ids: list[str]) -> dict[str, datetime]:
        """When the first message about each job reached Slack; waits until all have."""
        first: dict[str, datetime] = {}
        looked_at = 0
        async with asyncio.timeout(60):
            while not first.keys() >= set(job_ids):
                await asyncio.sleep(0.02)
                calls = self.sandbox.slack.calls
                for call in calls[looked_at:]:
                    if call.method == "chat.postMessage" and "thread_ts" not in call.arguments:
                        found = JOB_ID.search(str(call.arguments.get("text")))
                        first.setdefault(found[0] if found else "", call.at)
                looked_at = len(calls)
        return first

    def clear(self) -> None:
        """Forgets what was called, so that looking through it stays quick."""
        self.sandbox.slack.calls.clear()
        self.sandbox.sift.calls.clear()


Contender = Callable[[], "contextlib.AbstractAsyncContextManager[Running]"]


async def measure_ack(arena: Arena) -> None:
    """One person, one command at a time: how long Slack waits for the ack."""
    print("One command at a time, ack (median)")
    contenders: dict[str, Contender] = {
        "ours, recorded": arena.ours,
        "the usual bot": arena.usual,
        "ours without a record": lambda: arena.peer("recordless"),
        "signature only": lambda: arena.peer("raw"),
    }
    async with contextlib.AsyncExitStack() as stack:
        samples: dict[str, list[float]] = {name: [] for name in contenders}
        running = {name: await stack.enter_async_context(contender()) for name, contender in contenders.items()}
        for round_number in range(ROUNDS + 1):
            for name, contender in running.items():
                # A pause after each command, so that the next one finds the bot at rest.
                took, _ = await arena.typists.type(contender.url, [arena.job_ids(10)], pause=0.06)
                samples[name] += took if round_number else []
            arena.clear()
    ours = milliseconds(samples["ours, recorded"])
    say("the usual bot / ours", f"{milliseconds(samples['the usual bot']) / ours:.1f} x", "goal: 20 x")
    say("ours without a record / ours", f"{milliseconds(samples['ours without a record']) / ours:.2f}")
    for name, took in samples.items():
        say(name, f"{milliseconds(took):.2f} ms", "goal: 2 ms" if name == "ours, recorded" else "")


async def measure_people(arena: Arena) -> None:
    """Twenty people at once: acks per second, and from the click to the first message in the channel."""
    print(f"{CROWD} people at once")
    rates: dict[str, list[float]] = {"ours, recorded": [], "ours without a record": [], "the usual bot": []}
    waits: dict[str, list[float]] = {"ours, recorded": [], "the usual bot": []}
    async with contextlib.AsyncExitStack() as stack:
        contenders = {
            "ours, recorded": arena.ours,
            "ours without a record": lambda: arena.peer("recordless"),
            "the usual bot": arena.usual,
        }
        urls = {name: (await stack.enter_async_context(made())).url for name, made in contenders.items()}
        for round_number in range(ROUNDS // 2 + 1):
            for name, url in urls.items():
                rate = await _acks_per_second(arena, url, with_jobs=name != "ours without a record")
                rates[name] += [rate] if round_number else []
                arena.clear()
            for name in waits:
                took = await _click_to_message(arena, urls[name])
                waits[name] += took if round_number else []
                arena.clear()
    ours, none = (statistics.median(rates[name]) for name in ("ours, recorded", "ours without a record"))
    say("acks: ours / ours without a record", f"{ours / none:.2f}", "goal: 0.4")
    slow, quick = milliseconds(waits["the usual bot"]), milliseconds(waits["ours, recorded"])
    say("click to message: the usual bot / ours", f"{slow / quick:.1f} x", "goal: 2.5 x")
    for name, found in rates.items():
        say(f"acks, {name}", f"{statistics.median(found):,.0f} /s")
    for name, found in waits.items():
        say(f"click to message, {name}", f"{milliseconds(found):.0f} ms")


async def _acks_per_second(arena: Arena, url: str, *, with_jobs: bool) -> float:
    """Each person types a few commands, one after the other."""
    each = 5
    job_ids = arena.job_ids(CROWD * each)
    people = [job_ids[start : start + each] for start in range(0, len(job_ids), each)]
    _, seconds = await arena.typists.type(url, people)
    if with_jobs:
        await arena.shown(job_ids)
    return len(job_ids) / seconds


async def _click_to_message(arena: Arena, url: str) -> list[float]:
    job_ids = arena.job_ids(CROWD)
    began = utc_now()
    await arena.typists.type(url, [[job_id] for job_id in job_ids])
    shown = await arena.shown(job_ids)
    return [(shown[job_id] - began).total_seconds() for job_id in job_ids]


async def measure_rest(arena: Arena) -> None:
    """Starting, doing nothing, and the memory held after a thousand retries."""
    print("Start, rest, size")
    async with arena.ours() as running:
        say("from start to ready", f"{running.seconds_to_start:.2f} s", "goal: 1.5 s")
        await asyncio.sleep(2)
        arena.clear()
        used, seconds = cpu_seconds(running.pid), 20
        await asyncio.sleep(seconds)
        used = cpu_seconds(running.pid) - used
        say("processor at rest", f"{used / seconds:.2%}", "goal: under 0.5 %")
        say(
            "calls to Slack and Sift at rest",
            f"{len(arena.sandbox.slack.calls) + len(arena.sandbox.sift.calls)}",
            "goal: 0",
        )
        for _ in range(10):
            await _acks_per_second(arena, running.url, with_jobs=True)
            arena.clear()
        await asyncio.sleep(3)
        say("resident after 1,000 retries", f"{resident_megabytes(running.pid):.0f} MB", "goal: under 100 MB")


async def measure_follow(arena: Arena) -> None:
    """A thousand jobs under way: what one poll costs."""
    print("Following 1,000 jobs")
    arena.sandbox.sift.run_seconds = 3_600
    polls, poll_seconds = 5, 2
    async with arena.ours(FOLLOW_POLL_SECONDS=str(poll_seconds)) as running:
        for _ in range(10):
            await _acks_per_second(arena, running.url, with_jobs=True)
        await asyncio.sleep(poll_seconds * 2)
        arena.clear()
        used = cpu_seconds(running.pid)
        await asyncio.sleep(polls * poll_seconds)
        used = cpu_seconds(running.pid) - used
    lists = sum(call.operation == "list" for call in arena.sandbox.sift.calls)
    say("ListJobs requests per poll", f"{lists / polls:.1f}", "goal: at most 7, about 150 job IDs in each URL")
    say("processor time per poll", f"{used / polls * 1e3:.0f} ms")


async def run(wanted: list[str], entries: int) -> None:
    """Runs what is wanted, each part against a sandbox of its own."""
    parts: dict[str, Callable[[Arena], Awaitable[None]]] = {
        "ack": measure_ack,
        "people": measure_people,
        "rest": measure_rest,
        "follow": measure_follow,
    }
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="bench") as directory:
            if name == "audit":
                measure_audit(Path(directory), entries, say)
                continue
            sandbox = Sandbox(run_seconds=0)
            async with serving(sandbox.app) as url, Typists(sandbox.slack.signing_secret) as typists:
                await parts[name](Arena(sandbox, url, Path(directory), typists))


def main() -> None:
    """Reads the command line."""
    parts = ("ack", "people", "rest", "follow", "audit")
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[], help=f"some of: {' '.join(parts)}")
    parser.add_argument("--entries", type=int, default=100_000, help="how long the audit is (default: 100,000)")
    chosen = parser.parse_args()
    uvloop.run(run(list(chosen.parts or parts), chosen.entries))


if __name__ == "__main__":
    main()
