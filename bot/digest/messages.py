"""What happened in a channel since the last digest, and what still waits. Pure.

📰 31 jobs failed since 8:00 AM, 12 still wait
hotfire-118 – 25 failed
🚨 6 wait, and nobody has them · 3 taken by @Ann
🔄 @Ben retried 14, 13 helped · 2 retried outside the bot
[Retry what still waits…]
"""

from collections.abc import Sequence

from bot.digest.digest import Hands, News, RunNews, Tried
from bot.retries.messages.modals import TITLE
from bot.slack.blocks import (
    actions,
    button,
    counted,
    date,
    foreign,
    mention,
    message_view,
    say_type,
    section,
)
from bot.slack.message import Message, View

PICK_WAITING = "pick_waiting"
"""The action ID of the button under a digest; its value is the digest's ID."""

MAX_RUNS = 12
"""So many runs are told of; the jobs of the others are counted."""

MAX_PEOPLE = 4
"""So many people are named of one run; what the others have is counted."""


def digest(news: News, digest_id: str) -> Message:
    """The whole digest, as it is posted."""
    before, after = _title(news)
    blocks = [section(f":newspaper: *{before} since {date(news.since, 'time')}{after}*")]
    blocks += [section(_run(run)) for run in news.runs[:MAX_RUNS]]
    rest = news.runs[MAX_RUNS:]
    if rest:
        failed, waits = sum(run.failed for run in rest), sum(run.waits for run in rest)
        blocks.append(section(f"… and {counted(len(rest), 'more run')}: {_failed(failed)}, {_wait(waits)}."))
    if news.offered:
        blocks.append(actions([button("Retry what still waits…", PICK_WAITING, digest_id)]))
    return Message(f"{before}{after}", blocks)


def _title(news: News) -> tuple[str, str]:
    """The title, without since when: `31 jobs failed`, `, 12 still wait`."""
    before = f"{counted(news.failed, 'job')} failed" if news.failed else "No job failed"
    if not news.waits:
        return before, ", none waits"
    return before, f", {news.waits:,} still {'waits' if news.waits == 1 else 'wait'}"


def _failed(count: int) -> str:
    return f"{count:,} failed" if count else "none failed"


def _wait(count: int) -> str:
    return f"{count:,} {'waits' if count == 1 else 'wait'}" if count else "none waits"


def _run(run: RunNews) -> str:
    """One run, in at most three lines."""
    name = f"*{foreign(run.name, 60)}*" if run.name else f"*{say_type(run.kind).capitalize()}s of no known run*"
    waiting = " · ".join(_waiting(run))
    emoji = ":rotating_light:" if any(hands is Hands.NOBODY for hands, _ in run.waiting) else ":hourglass:"
    done = " · ".join(_done(run))
    lines = [f"{name} – {run.failed:,} failed" if run.failed else name]
    lines += [f"{emoji} {waiting}"] if waiting else []
    return "\n".join([*lines, *([f":arrows_counterclockwise: {done}"] if done else [])])


def _waiting(run: RunNews) -> list[str]:
    """What waits, by who has it: what nobody has first."""
    order = sorted(run.waiting.items(), key=lambda one: ([*Hands].index(one[0][0]), -one[1], one[0][1]))
    shown = [_has(hands, who, count) for (hands, who), count in order[:MAX_PEOPLE]]
    more = sum(count for _, count in order[MAX_PEOPLE:])
    return [*shown, *([f"{more:,} more"] if more else [])]


def _has(hands: Hands, who: str, count: int) -> str:
    match hands:
        case Hands.NOBODY:
            return f"{_wait(count)}, and nobody has {'it' if count == 1 else 'them'}"
        case Hands.TAKEN:
            return f"{count:,} taken by {mention(who)}"
        case Hands.SNOOZED:
            return f"{count:,} snoozed by {mention(who)}"
        case Hands.ASKED:
            return f"{count:,} asked for by {mention(who)}"


def _done(run: RunNews) -> list[str]:
    """What was retried, by whom: who retried most first."""
    order = sorted(run.retried.items(), key=lambda one: (-one[1].ended - one[1].under_way, one[0]))
    shown = [f"{mention(who)} {_tried(tried)}" for who, tried in order[:MAX_PEOPLE]]
    rest = [tried for _, tried in order[MAX_PEOPLE:]]
    more = [f"others {_tried(_sum(rest))}"] if rest else []
    return [*shown, *more, *([f"{run.outside:,} retried outside the bot"] if run.outside else [])]


def _tried(tried: Tried) -> str:
    if not tried.ended:
        return f"is retrying {tried.under_way:,}"
    helped = f"{tried.helped:,} helped" if tried.helped else "none helped"
    return f"retried {tried.ended:,}, {helped}" + (f", {tried.under_way:,} under way" if tried.under_way else "")


def _sum(tried: Sequence[Tried]) -> Tried:
    return Tried(*(sum(numbers) for numbers in zip(*tried, strict=True)))


def nothing_waits() -> View:
    """Stands in place of the modal when nothing is left to pick."""
    said = ":white_check_mark: Nothing that was alerted in this channel waits any more."
    return message_view(Message(said, [section(said)]), TITLE)
