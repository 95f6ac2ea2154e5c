"""What the bot costs, beside what it is compared with, in one run: `python -m bench [ack people retries …]`.

Ratios are what counts: all contenders run at the same time on the same machine, and take turns round by round, so
that noise hits them alike. Absolute figures vary from machine to machine.
"""

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.arena import Arena, Contender
from bench.audit_log import measure_audit
from bench.figures import Figures
from bench.following import measure_follow
from bench.grown import measure_grown
from bench.like_real import LikeReal
from bench.load import Typists, cpu_seconds, milliseconds, resident_megabytes
from bench.memory import measure_memory
from bench.outage import measure_outage
from bench.retrying import measure_retries
from bench.storm import measure_storm
from bot.app.server import serving
from bot.sandbox import Sandbox

CROWD = 20
MEMORY = (1_000, 10_000, 50_000)
PAST = 200_000
FOLLOWING = ("follow 1,000", "follow 10,000")
"""What the part `follow` stands for: a bend shows between the two."""


@dataclass(frozen=True)
class Run:
    """What one run measures with.

    Args:
        rounds: how many turns each contender gets, beside one to warm up.
        entries: how long the audit is.
        figures: where the results go.
    """

    rounds: int
    entries: int
    figures: Figures

    @property
    def quick(self) -> bool:
        """Whether rough figures will do."""
        return self.rounds < 5

    def say(self, name: str, figure: float, form: str = "{:.2f}", goal: str = "") -> None:
        """Tells one figure."""
        self.figures.say(name, figure, form, goal)


async def measure_ack(arena: Arena, run: Run) -> None:
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
        for round_number in range(run.rounds + 1):
            for name, contender in running.items():
                # A pause after each command, so that the next one finds the bot at rest.
                took, _ = await arena.typists.type(contender.url, [arena.job_ids(10)], pause=0.06)
                samples[name] += took if round_number else []
            arena.clear()
    ours = milliseconds(samples["ours, recorded"])
    run.say("ack: the usual bot / ours", milliseconds(samples["the usual bot"]) / ours, "{:.1f} x")
    run.say("ack: with a record / without", ours / milliseconds(samples["ours without a record"]), goal="goal: 2")
    for name, took in samples.items():
        run.say(f"ack, {name}", milliseconds(took), "{:.2f} ms")


async def measure_people(arena: Arena, run: Run) -> None:
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
        for round_number in range(run.rounds // 2 + 1):
            for name, url in urls.items():
                rate = await _acks_per_second(arena, url, with_jobs=name != "ours without a record")
                rates[name] += [rate] if round_number else []
                await asyncio.sleep(1.0)  # until what follows the first posts is shown, too
                arena.clear()
            for name in waits:
                took = await arena.click_to_message(urls[name], arena.job_ids(CROWD))
                waits[name] += took if round_number else []
                arena.clear()
    ours, none = (statistics.median(rates[name]) for name in ("ours, recorded", "ours without a record"))
    run.say("acks of 20 people: ours / ours without a record", ours / none, goal="goal: 0.5")
    slow, quick = milliseconds(waits["the usual bot"]), milliseconds(waits["ours, recorded"])
    run.say("click to message: the usual bot / ours", slow / quick, "{:.1f} x", "goal: 2 x")
    for name, found in rates.items():
        run.say(f"acks, {name}", statistics.median(found), "{:,.0f} /s")
    for name, found in waits.items():
        run.say(f"click to message, {name}", milliseconds(found), "{:.0f} ms")


async def _acks_per_second(arena: Arena, url: str, *, with_jobs: bool) -> float:
    """Each person types a few commands, one after the other."""
    each = 5
    job_ids = arena.job_ids(CROWD * each)
    people = [job_ids[start : start + each] for start in range(0, len(job_ids), each)]
    _, seconds = await arena.typists.type(url, people)
    if with_jobs:
        await arena.shown(len(job_ids))
    return len(job_ids) / seconds


async def measure_rest(arena: Arena, run: Run) -> None:
    """Starting, doing nothing, and the memory held after a thousand retries."""
    print("Start, rest, size")
    async with arena.ours() as running:
        run.say("from start to ready", running.seconds_to_start, "{:.2f} s", "goal: 0.7 s")
        run.say("processor time until ready", cpu_seconds(running.pid), "{:.2f} s")
        await asyncio.sleep(2)
        arena.clear()
        used, seconds = cpu_seconds(running.pid), 20
        await asyncio.sleep(seconds)
        used = cpu_seconds(running.pid) - used
        run.say("processor at rest", used / seconds, "{:.2%}", "goal: under 0.3 %")
        calls = len(arena.sandbox.slack.calls) + len(arena.sandbox.sift.calls)
        run.say("calls to Slack and Sift at rest", calls, "{:.0f}", "goal: 0")
        for _ in range(10):
            await _acks_per_second(arena, running.url, with_jobs=True)
            arena.clear()
        await asyncio.sleep(3)
        run.say("resident after 1,000 retries", resident_megabytes(running.pid), "{:.0f} MB", "goal: under 90 MB")


async def measure(wanted: list[str], run: Run) -> None:
    """Measures what is wanted, each part against a sandbox of its own."""
    parts: dict[str, Callable[[Arena], Awaitable[None]]] = {
        "ack": lambda arena: measure_ack(arena, run),
        "people": lambda arena: measure_people(arena, run),
        "retries": lambda arena: measure_retries(arena, run.figures, run.rounds),
        "rest": lambda arena: measure_rest(arena, run),
        "storm": lambda arena: measure_storm(arena, run.figures, 1_000 if run.quick else 5_000, run.rounds * 2),
        "outage": lambda arena: measure_outage(arena, run.figures, run.rounds),
        "memory": lambda arena: measure_memory(arena, run.figures, (1_000, 3_000) if run.quick else MEMORY),
        "grown": lambda arena: measure_grown(arena, run.figures, 20_000 if run.quick else PAST, run.rounds),
        "follow 1,000": lambda arena: measure_follow(arena, run.figures, 1_000),
        "follow 10,000": lambda arena: measure_follow(arena, run.figures, 10_000),
    }
    for name in (name for one in wanted for name in (FOLLOWING if one == "follow" else (one,))):
        with tempfile.TemporaryDirectory(prefix="bench") as directory:
            if name == "audit":
                measure_audit(Path(directory), run.entries, run.figures)
                continue
            sandbox = Sandbox(run_seconds=0)
            slow = LikeReal(sandbox.app)
            async with serving(slow, limits=None) as url, Typists(sandbox.slack.signing_secret) as typists:
                await parts[name](Arena(sandbox, slow, url, Path(directory), typists))


def main() -> None:
    """Reads the command line."""
    parts = ("ack", "people", "retries", "rest", "storm", "outage", "follow", "grown", "memory", "audit")
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[], help=f"some of: {' '.join(parts)}")
    parser.add_argument("--entries", type=int, help="how long the audit is (default: 100,000)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: some minutes, rougher figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also writes the figures as JSON")
    chosen = parser.parse_args()
    figures = Figures()
    entries = chosen.entries or (20_000 if chosen.quick else 100_000)
    uvloop.run(measure(list(chosen.parts or parts), Run(2 if chosen.quick else 10, entries, figures)))
    if chosen.json is not None:
        figures.write(chosen.json)


if __name__ == "__main__":
    main()
