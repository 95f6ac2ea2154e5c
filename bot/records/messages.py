"""The audit and the statistics as people read them, and the audit's head as it is posted daily. Pure.

✅ @Ann retried data import *hotfire-118* · stand-2 · telemetry_0412.csv — finished  [Show]
> the sensor was offline
12:00 PM · thread
Your 9 requests in the last 30 days: 6 of 8 retries helped.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.access.policy import Permission, Typed
from bot.audit.signing import SignedHead
from bot.base.clock import rfc3339
from bot.base.text import clip, shorten
from bot.records.line import Line
from bot.records.search import Search, value_of_search
from bot.records.stats import Stats
from bot.records.words import OUTCOMES, said
from bot.retries.messages.record import readable
from bot.sift.ids import job_kind
from bot.slack.blocks import actions, button, counted, date, escape, foreign, listing, mention, say_type, section
from bot.slack.links import Workspace
from bot.slack.message import Block, Message


def anchored(signed: SignedHead, at: datetime) -> Message:
    """The head, and how to check the log against it."""
    name = str(signed)
    text = (
        f":anchor: The audit has {signed.head.count:,} entries as of {rfc3339(at)[:19]}Z. Its head is `{name}`\n"
        f"Check later that nothing up to here was changed: `sift-retry audit verify --head {name}`"
    )
    return Message(text, [section(text)])


OPEN_AUDIT, OPEN_STATS = "open_audit", "open_stats"
"""The action IDs of the Home tab's buttons."""

OWN = "own"
"""The value of the button that opens the audit of the reader's own entries."""

HELP = (
    Typed("audit [<job ID>|@user] [7d]", "shows who retried what; `stats [30d]` how it went", Permission.READ_AUDIT),
)
"""What can be typed of the records."""

HELP_OWN = (Typed("audit [<job ID>] [7d]", "shows what you retried; `stats [30d]` how it went", Permission.RETRY),)
"""The same for those who read their own alone."""

AUDIT_PAGE, AUDIT_SEARCH, AUDIT_EXPORT = "audit_page", "audit_search", "audit_export"
"""The action IDs of a page's buttons; their value is the search, as JSON."""

SHOW_REQUEST = "audit_show"
"""The action ID of a line's button; its value is the request."""

STORY_TITLE, EXPORT_TITLE, STATS_TITLE = "What happened", "Export", "Statistics"
"""The titles of modals."""


def reading() -> Message:
    """Stands in a modal until what it shows was read."""
    text = ":hourglass_flowing_sand: Reading the records…"
    return Message(text, [section(text)])


def too_slow() -> dict[str, str]:
    """Said at the form if what it asks for was not found in time."""
    return {"person": "That took too long. Press Search again, or narrow it down by time."}


def sent() -> Message:
    """Said where nothing else is to be said of what was sent directly."""
    text = ":inbox_tray: It is in your messages with me."
    return Message(text, [section(text)])


def page(lines: Sequence[Line], search: Search, path: Sequence[int], more: bool, workspace: Workspace) -> Message:
    """One page of the audit, newest first.

    Args:
        path: the entries below which the pages so far began, this one's last; empty for the newest page.
        more: whether there are older ones.

    Returns:
        Private to whoever reads; its buttons carry the search.
    """
    title = f"The audit{_about(search)}, newest first"
    shown = [block_of(line, workspace) for line in lines] or [section(_nothing(path))]
    buttons = []
    if path:
        buttons.append(_button("Newer", AUDIT_PAGE, search, path[:-1], "newer"))
    if more:
        buttons.append(_button("Older", AUDIT_PAGE, search, [*path, lines[-1].id], "older"))
    buttons.append(search_button(search))
    buttons.append(_button("Export as CSV", AUDIT_EXPORT, search, [], "export"))
    return Message(title, [section(f"*{title}*"), *shown, actions(buttons)])


def block_of(line: Line, workspace: Workspace) -> Block:
    """One line of the audit; a request's with the button that shows its steps."""
    emoji, text = said(line)
    whole = line.tells_of_request and line.retry is not None
    reason = f"\n> {foreign(line.reason, 200)}" if whole and line.reason else ""
    ts = line.retry.root_ts if line.retry is not None else line.detail.get("thread_ts")
    link = workspace.link(line.channel_id, ts)
    thread = f" · <{link}|thread>" if link else ""
    show = button("Show", SHOW_REQUEST, line.request_id) if whole and line.request_id else None
    return section(f"{emoji} {text}{reason}\n{date(line.at, 'time')}{thread}", show)


def search_button(search: Search) -> Block:
    """The button that opens the form, filled in with what was searched for."""
    return _button("Search…", AUDIT_SEARCH, search, [], "search")


def _nothing(path: Sequence[int]) -> str:
    return "There is nothing older." if path else "Nothing of that is on record."


def _about(search: Search) -> str:
    filters = search.filters
    parts = [
        f"of job `{escape(filters.job_id)}`" if filters.job_id else "",
        f"of run *{foreign(filters.run)}*" if filters.run else "",
        f"of {mention(escape(filters.user_id))}" if filters.user_id else "",
        f"that came out as “{OUTCOMES[filters.outcome].lower()}”" if filters.outcome in OUTCOMES else "",
        f"since {date(filters.since, 'time')}" if filters.since else "",
        f"until {date(filters.until, 'time')}" if filters.until else "",
        "with who read it" if search.reads else "",
    ]
    wanted = " ".join(part for part in parts if part)
    return f" {wanted}" if wanted else ""


def _button(text: str, action_id: str, search: Search, path: Sequence[int], block: str) -> Block:
    return button(text, f"{action_id}:{block}", value_of_search(search, path))


def exported(count: int, most: int, head: str) -> Message:
    """Said with the file."""
    cut = f" Only the oldest {most:,} are in it; `sift-retry audit export` writes all." if count >= most else ""
    text = f":page_facing_up: {count:,} entries of the audit, oldest first.{cut}\nHead of the chain: `{head}`"
    return Message(text, [section(text)])


def sent_directly(message: Message) -> Message:
    """Said where it was asked for, when the file went to the person directly."""
    blocks = [*message.blocks, section(":inbox_tray: The file is in your messages with me.")]
    return Message(message.text, blocks)


def not_uploaded(error: str) -> Message:
    """Said when Slack did not take the file."""
    text = f":warning: Slack did not take the file (`{foreign(error)}`). Try again, or use the command line."
    return Message(text, [section(text)])


_STANDING = {"requested": "waiting", "sending": "being sent", "unknown": "being checked", "accepted": "under way"}
"""How people say the states of what has not ended."""


def numbers(stats: Stats, names: Mapping[str, str], back: timedelta | None = None, *, own: bool = False) -> Message:
    """The statistics in words: what the picture shows, for those who cannot see it, too.

    Args:
        back: how far back they go; None: only the moment is said.
        own: whether they are of the reader's own requests alone.
    """
    when = _lately(stats, back)
    if not stats.total:
        text = f"{'You asked for no retries' if own else 'No retries were asked for'} {when}."
        return Message(text, [section(text)])
    title = f"{'Your ' if own else ''}{counted(stats.total, 'request')} {when}: {_helped(stats)}."
    states = listing(
        f"{count:,} {_STANDING.get(state, state.replace('_', ' '))}" for state, count in _most_first(stats.states)
    )
    kinds = listing(counted(count, say_type(job_kind(name))) for name, count in _most_first(stats.types))
    people = listing(f"<@{user_id}> {count:,}" for user_id, count in _most_first(stats.people))
    by_person = "" if own else f"By person: {people}."
    parts = [f"*{title}*", f"By outcome: {states}.", f"By job type: {kinds}." if kinds else "", by_person]
    blocks = [section("\n".join(part for part in parts if part)), *_causes(stats)]
    return Message(escape(alternative(stats, names)), blocks)


def _lately(stats: Stats, back: timedelta | None) -> str:
    if back is None or back % timedelta(days=1):
        return f"since {date(stats.since, 'time')}"
    return "in the last day" if back.days == 1 else f"in the last {back.days:,} days"


def _helped(stats: Stats) -> str:
    """How many retries helped, of those that Sift took and that ended."""
    helped, ended = stats.helped
    return (
        f"{helped:,} of {ended:,} {'retry' if ended == 1 else 'retries'} helped" if ended else "no retry has ended yet"
    )


def _causes(stats: Stats) -> list[Block]:
    """Why most of the retried jobs had failed, and how often a retry helped."""
    if not stats.causes:
        return []
    lines = [
        f"• {foreign(readable(one.cause_key), 120)}: helped in {one.record.helped:,} of {one.record.tried:,}"
        for one in stats.causes
    ]
    return [section("\n".join(["*Most frequent causes*, and how often a retry helped", *lines]))]


def alternative(stats: Stats, names: Mapping[str, str]) -> str:
    """The numbers as alternative text of the picture.

    Args:
        names: what people are called, by user ID; where one is missing the ID stands.

    Returns:
        Plain text of at most 1,900 characters.
    """
    helped, ended = stats.helped
    days = "; ".join(f"{day}: {sum(states.values())}" for day, states in list(stats.days.items())[-31:])
    people = ", ".join(f"{clip(names.get(user, user))} {count}" for user, count in _most_first(stats.people))
    states = ", ".join(f"{state.replace('_', ' ')} {count}" for state, count in _most_first(stats.states))
    counts = f"{stats.total} requests; {helped} of {ended} retries helped. {states}."
    return shorten(f"{counts} Per day: {days}. By person: {people}.", 1_900)


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))
