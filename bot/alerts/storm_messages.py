"""The messages that show many failures at once, by what they share, and the modal that picks some of them. Pure.

🚨 25 jobs failed
9 × ‘column … is not a number’ in *hotfire-118* [Retry these 9]
[Retry all (25)] [Select…] [I'm on it] [Snooze…]
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from bot.alerts import oncall_messages as on_call
from bot.alerts import thread_messages
from bot.alerts.alert import Alert, Group, Standing, Storm
from bot.alerts.messages import cause_in_a_line, repeated
from bot.alerts.storm_press import WHOLE
from bot.base.text import clip
from bot.retries.messages.job import kind_of, referring
from bot.retries.messages.modals import JobOption, all_under_way_view, retry_view
from bot.retries.messages.naming import SHORT_ID, choice_of, name_of
from bot.retries.messages.record import readable, words
from bot.retries.state import AlertState
from bot.sift.ids import job_kind
from bot.slack.blocks import (
    MAX_OPTION_TEXT,
    actions,
    button,
    confirm,
    counted,
    escape,
    foreign,
    listing,
    mention,
    option,
    say_type,
    section,
)
from bot.slack.links import Place
from bot.slack.message import Block, Message, View
from bot.slack.piece import Piece

RETRY_STORM, RETRY_GROUP, SELECT_STORM = "retry_storm", "retry_group", "select_storm"
"""The action IDs of a storm's buttons; their values are the row's ID, and of those that retry the group's and how many
jobs that is."""

MAX_GROUPS = 8
"""Groups that are shown; the others are counted."""

MAX_PEOPLE = 3
"""People who are named; the others are not."""

MAX_NAME = 40
"""Characters of a name in an option, so that the cause has room beside it."""

LINES, SECTIONS = 10, 10
"""Failures to a section, and sections to a message of a storm's list."""

_EMOJIS = {
    AlertState.OPEN: ":x:",
    AlertState.RETRYING: ":arrows_counterclockwise:",
    AlertState.OUTSIDE: ":bust_in_silhouette:",
    AlertState.CLOSED: ":white_check_mark:",
}


def pieces(storm: Storm, place: Place, oncall: str | None = None) -> list[Piece]:
    """Every message that should show a storm as it is now, in the order they are posted.

    Args:
        oncall: the user group that reminders mention; None: nobody is mentioned.
    """
    called = thread_messages.called_for_storm(storm, oncall)
    shown = [Piece("announcement", announcement(storm), in_thread_too=True), *_lists(storm)]
    shown += [Piece(f"repeat-{repeat.id}", repeated(repeat)) for repeat in storm.repeats]
    return [*shown, *_woken(storm), *called]


def announcement(storm: Storm) -> Message:
    """How many jobs failed at once, or how they stand since; what they share, and what may be retried."""
    title, standings = _title(storm), storm.standings
    kinds = ", ".join(counted(count, _kind(name)) for name, count in sorted(storm.kinds.items(), key=_most_first))
    begun = any(standing is not Standing.FAILED for standing in standings)
    of = f"{counted(storm.total, 'job')} failed: {kinds}" if begun else kinds
    said = on_call.lines(storm, failed=bool(storm.offered), over=storm.over)
    blocks = [section(f"{_emoji(storm)} *{title}*\n{of}"), *([section("\n".join(said))] if said else [])]
    blocks += _groups(storm)
    if storm.offered:
        selecting = [_retry_all(storm), button("Select…", SELECT_STORM, storm.id)]
        blocks.append(actions([*selecting, *on_call.take_buttons(storm, storm.id)]))
    taken = f" — {' '.join(said)}" if said else ""
    return Message(f"{title}: {_gist(storm)}{taken}", [*blocks, referring(storm.id)])


def _gist(storm: Storm) -> str:
    """What a phone shows beside the title: the largest group, and how many jobs there are besides."""
    first = storm.groups[0]
    rest = storm.total - first.total
    return f"{first.total:,} × {_shared(first, bold=False)}" + (f"; {counted(rest, 'other')}" if rest else "")


def _emoji(storm: Storm) -> str:
    if storm.offered:
        return on_call.emoji_of(storm) or ":rotating_light:"
    if set(storm.standings) <= {Standing.AWAITING, Standing.THROUGH, Standing.CLOSED} and not storm.over:
        return ":busts_in_silhouette:"
    return ":white_check_mark:" if storm.over else ":arrows_counterclockwise:"


def _title(storm: Storm) -> str:
    """How the whole of it stands: `25 jobs failed`, `14 under way, 11 queued by @Ann, 3 through`.

    What waits for somebody else's word is told apart: `9 waiting for a second person, asked for by @Ann`.
    """
    counts = storm.standings
    if set(counts) <= {Standing.FAILED}:
        return f"{counted(storm.total, 'job')} failed"
    if set(counts) <= {Standing.THROUGH, Standing.CLOSED}:
        return _over(storm, counts)
    active = [f"{counts[one]:,} {one}" for one in (Standing.UNDER_WAY, Standing.QUEUED) if one in counts]
    awaiting = f"{counts.get(Standing.AWAITING, 0):,} {Standing.AWAITING}, asked for by {_people(storm.awaiting)}"
    if active and (Standing.AWAITING not in counts or storm.retrying != storm.awaiting):  # who is named once is enough
        active[-1] += f" by {_people(storm.retrying)}"
    parts = [*active, *([awaiting] if Standing.AWAITING in counts else [])]
    rest = (Standing.FAILED, Standing.FAILED_AGAIN, Standing.OUTSIDE, Standing.THROUGH, Standing.CLOSED)
    return ", ".join(parts + [f"{counts[one]:,} {one}" for one in rest if one in counts])


def _over(storm: Storm, counts: Mapping[Standing, int]) -> str:
    """The title once no job is failed any more."""
    all_of = f"All {storm.total:,} are through" if storm.total > 1 else "It is through"
    by, without = counts.get(Standing.THROUGH, 0), counts.get(Standing.CLOSED, 0)
    if not without:
        return f"{all_of}, retried by {_people(storm.retried)}"
    return f"{all_of}, {by:,} retried by {_people(storm.retried)}" if by else f"{all_of}, without the bot"


def _people(users: Sequence[str]) -> str:
    named = [mention(user) for user in users[:MAX_PEOPLE]]
    return listing([*named, "others"] if len(users) > MAX_PEOPLE else named)


def _groups(storm: Storm) -> list[Block]:
    """What the jobs share; a button for each group, unless it would be the same as for all of them."""
    shown = storm.groups[:MAX_GROUPS]
    alone = len(storm.groups) == 1
    blocks = [section(_told(group, storm), None if alone else _retry_these(storm, group)) for group in shown]
    rest = storm.groups[MAX_GROUPS:]
    if rest:
        jobs = sum(group.total for group in rest)
        blocks.append(section(f"… and {counted(jobs, 'job')} in {counted(len(rest), 'more group')}."))
    return blocks


def _told(group: Group, storm: Storm) -> str:
    """A group with how it stands, where that differs, and whether retrying helped before."""
    lines = [f"{group.total:,} × {_shared(group)}"]
    if len(storm.standings) > 1:
        counts = [(standing, group.standings.get(standing, 0)) for standing in Standing]
        lines.append(", ".join(f"{count:,} {standing}" for standing, count in counts if count))
    helps = words(group.record, group.kind) if group.offered else None
    return "\n".join([*lines, *([f"{helps}."] if helps else [])])


def _shared(group: Group, *, bold: bool = True) -> str:
    """What a group has in common: `‘column … is not a number’ in *hotfire-118*`."""
    what = f"‘{foreign(group.cause, 160)}’" if group.cause else f"{say_type(group.kind)}, no reason known"
    topic, mark = foreign(group.topic, 60), "*" if bold else ""
    return what + (f" in {mark}{topic}{mark}" if topic else "")


def _retry_these(storm: Storm, group: Group) -> Block | None:
    if not group.offered:
        return None
    several = group.offered > 1
    asked = _confirm("Retry these?" if several else "Retry it?", group.offered, [group])
    return button(
        f"Retry these {group.offered:,}" if several else "Retry this one",
        RETRY_GROUP,
        f"{storm.id} {group.id} {group.offered}",
        confirm=asked,
    )


def _retry_all(storm: Storm) -> Block:
    asked = _confirm("Retry all?", storm.offered, storm.groups)
    return button(
        f"Retry all ({storm.offered:,})",
        RETRY_STORM,
        f"{storm.id} {WHOLE} {storm.offered}",
        style="primary",
        confirm=asked,
    )


def _confirm(title: str, count: int, groups: Sequence[Group]) -> Block:
    """Asks once more, and says of how many of the jobs no retry has ever helped."""
    what = f"Sift will be asked to retry {counted(count, 'job')}, a few at a time."
    hopeless = [group for group in groups if group.offered and group.record.hopeless]
    if len(hopeless) == 1 and len(groups) == 1:
        what += f" {words(hopeless[0].record, hopeless[0].kind)}."
    elif hopeless:
        what += f" For {sum(group.offered for group in hopeless):,} of them, retrying has never helped."
    return confirm(title, what, title.removesuffix("?"), "Not now")


def _lists(storm: Storm) -> list[Piece]:
    """The thread's list, so many failures to a message."""
    shown: list[Piece] = []
    size = LINES * SECTIONS
    for start in range(0, len(storm.members), size):
        some = storm.members[start : start + size]
        texts = ["\n".join(_line(one) for one in some[at : at + LINES]) for at in range(0, len(some), LINES)]
        title = f"All {storm.total:,} failures"
        if len(some) < storm.total:
            title = f"Failures {start + 1:,} to {start + len(some):,} of {storm.total:,}"
        blocks = [section(f"*{title}*"), *(section(text) for text in texts)]
        if start + size >= len(storm.members) and storm.total > len(storm.members):
            more = storm.total - len(storm.members)
            blocks.append(section(f"… and {more:,} more; all of them are in `sift-retry audit list`."))
        shown.append(Piece(f"list-{start // size}", Message(title, blocks)))
    return shown


def _woken(storm: Storm) -> list[Piece]:
    """Said in the thread when a snooze is over."""
    if storm.woken_at is None:
        return []
    some = f"Some of these {storm.total:,} jobs are"
    said = on_call.woken(storm, f"{some} still failed", some, it="them")
    return [Piece(f"woken-{int(storm.woken_at.timestamp())}", said)]


def _line(alert: Alert) -> str:
    why = cause_in_a_line(alert, 80)
    return f"{_EMOJIS[alert.state]} {_name(alert)}" + (f": {foreign(why, 80)}" if why else "")


def _name(alert: Alert) -> str:
    """A job in a list: its kind and name, or else its kind and short ID."""
    name = name_of(alert.job_id, alert.about, 80)
    shown = f"`{escape(name)}`" if name == alert.job_id[:SHORT_ID] else foreign(name, 80)
    return f"{kind_of(alert.job)} {shown}"


def selection(alerts: Sequence[Alert], total: int, origin: Mapping[str, str | None], under_way: int = 0) -> View:
    """The modal that picks some of a storm's jobs, by what they share.

    Args:
        alerts: those that are offered, group by group.
        total: how many might be.
        under_way: how many more are still failed, and are being retried already.
    """
    if not alerts:
        return all_under_way_view(under_way)
    names = Counter(map(_choice, alerts))
    choices: list[JobOption] = []
    for _, alike in groupby(alerts, key=_alike):
        some = list(alike)
        choices += [JobOption(_option(alert, names), _label(some)) for alert in some]
    return retry_view(choices, origin, unlisted=total - len(alerts), under_way=under_way)


def _alike(alert: Alert) -> tuple[str, str]:
    return alert.topic or "", alert.cause_key or alert.job_type


def _label(alerts: Sequence[Alert]) -> str:
    """What some options share: run or asset, and cause, in its own words where all have the same."""
    causes = {cause_in_a_line(alert, MAX_OPTION_TEXT) for alert in alerts}
    cause = causes.pop() if len(causes) == 1 else readable(alerts[0].cause_key or "")
    topic = clip(alerts[0].topic or "", MAX_NAME)
    return " – ".join(part for part in (topic, cause) if part) or "No reason known"


def _option(alert: Alert, names: Mapping[str, int]) -> Block:
    """A job to pick; those of one name are told apart by their IDs."""
    name, short = _choice(alert), alert.job_id[:SHORT_ID]
    told = f"{name} ({short})" if names[name] > 1 and short not in name else name
    why = cause_in_a_line(alert, MAX_OPTION_TEXT)
    return option(f"{told}: {why}" if why else told, alert.job_id)


def _choice(alert: Alert) -> str:
    return choice_of(alert.job, alert.job_id, alert.about, MAX_NAME)


def _kind(job_type: str) -> str:
    return say_type(job_kind(job_type))


def _most_first(kind: tuple[str, int]) -> tuple[int, str]:
    return -kind[1], kind[0]
