"""What people on call see: who is on a failure, until when it is snoozed, why it is muted; and the modals. Pure.

:raising_hand: @Ann is on it, since 11:02 AM.
:zzz: Snoozed until Nov 27 9:00 AM by @Ben.
[Release] [End snooze] [Mute…]
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.alerts.alert import OnCall
from bot.alerts.snooze import BadDay, Choice, tomorrow
from bot.slack.blocks import (
    button,
    date,
    foreign,
    hinted,
    input_,
    modal,
    option,
    plain,
    radio_buttons,
    section,
    text_input,
)
from bot.slack.message import Block, Message, View

TAKE, RELEASE = "take_failure", "release_failure"
SNOOZE, END_SNOOZE = "snooze_failure", "end_snooze"
MUTE, UNMUTE = "mute_alert", "unmute_alert"
"""The action IDs of the buttons; their values are the alert's or storm's ID; that of Release names who has it, too."""

SNOOZE_VIEW, MUTE_VIEW = "snooze_view", "mute_view"
"""The callback IDs of the modals."""

SNOOZE_TITLE, MUTE_TITLE = "Snooze", "Mute"

MAX_REASON = 500
"""Characters of the reason for muting."""

MAX_SHOWN_REASON = 300
"""Characters of it in a message."""


def emoji_of(on_call: OnCall) -> str | None:
    """What stands before the title of a failure that somebody takes care of; None: nobody does."""
    if on_call.taken_by is not None:
        return ":raising_hand:"
    if on_call.snoozed_until is not None:
        return ":zzz:"
    return ":mute:" if on_call.muted_by is not None else None


def lines(on_call: OnCall, *, failed: bool, over: bool) -> list[str]:
    """Who takes care of a failure, in sentences.

    Args:
        failed: whether it may be retried now; else nobody has to take care of it.
        over: whether nothing of it is failed or under way any more.
    """
    said = []
    if on_call.taken_by is not None and over:
        said.append(f"<@{on_call.taken_by}> was on it.")
    elif on_call.taken_by is not None:
        since = f", since {date(on_call.taken_at, 'time')}" if on_call.taken_at else ""
        said.append(f"<@{on_call.taken_by}> is on it{since}.")
    elif on_call.released_by is not None and failed:
        said.append(f"Nobody is on it: <@{on_call.released_by}> released it.")
    if failed and on_call.snoozed_until is not None:
        said.append(f"Snoozed until {date(on_call.snoozed_until, 'time')} by <@{on_call.snoozed_by}>.")
    return said


def in_short(on_call: OnCall) -> str:
    """Who takes care of a failure, in a list of them."""
    parts = [f"<@{on_call.taken_by}> is on it" if on_call.taken_by else "nobody is on it"]
    if on_call.snoozed_until is not None:
        parts.append(f"snoozed until {date(on_call.snoozed_until, 'time')} by <@{on_call.snoozed_by}>")
    if on_call.muted_by is not None:
        parts.append(f"muted by <@{on_call.muted_by}>")
    return ", ".join(parts)


def muted(on_call: OnCall) -> str:
    """That a job is alerted no more; empty where it is."""
    return f"Muted by <@{on_call.muted_by}>: no more alerts for this job." if on_call.muted_by else ""


def because(reason: str | None) -> list[Block]:
    """Why it is muted."""
    return [plain(f"Because: {reason}", MAX_SHOWN_REASON)] if reason else []


def take_buttons(on_call: OnCall, failure_id: str) -> list[Block]:
    """What takes a failure and puts it off, or undoes that."""
    take = button("I'm on it", TAKE, failure_id)
    if on_call.taken_by is not None:
        take = button("Release", RELEASE, f"{failure_id} {on_call.taken_by}")
    if on_call.muted_by is not None:
        return [take]
    if on_call.snoozed_until is not None:
        return [take, button("End snooze", END_SNOOZE, failure_id)]
    return [take, button("Snooze…", SNOOZE, failure_id)]


def mute_button(on_call: OnCall, failure_id: str) -> Block:
    """What mutes a job's alerts, or unmutes them."""
    return button("Unmute", UNMUTE, failure_id) if on_call.muted_by else button("Mute…", MUTE, failure_id)


def snooze_view(failure_id: str, name: str, now: datetime, zone: ZoneInfo, origin: Mapping[str, str | None]) -> View:
    """Asks until when.

    Args:
        name: what the failure is called, in foreign words.
        zone: the person's.
        origin: the source, and the channel and thread that an answer goes into; kept in the view.
    """
    options = [
        option("An hour", Choice.HOUR),
        option("Four hours", Choice.HOURS),
        option(f"Until tomorrow 9:00 AM ({_day(now, zone)})", Choice.TOMORROW),
    ]
    here = f"Times are yours, in {zone.key}."
    blocks = [
        section(_what(name, "The alert comes back in its thread then, if there is still something to retry.")),
        hinted(input_("for", "For how long", radio_buttons(options, options[0]), optional=False), here),
        hinted(input_("day", "Or until 9:00 AM on a date", {"type": "datepicker"}), "It goes before the choice above."),
    ]
    return modal(
        SNOOZE_TITLE, blocks, submit="Snooze", callback_id=SNOOZE_VIEW, private_metadata=_kept(failure_id, origin)
    )


def _day(now: datetime, zone: ZoneInfo) -> str:
    day = tomorrow(now, zone)
    return f"{_DAYS[day.weekday()]}, {_MONTHS[day.month - 1]} {day.day}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def at_the_day(bad: BadDay) -> dict[str, str]:
    """Returns what is wrong with a date, as the error of its field."""
    return {"day": bad.problem}


def mute_view(failure_id: str, name: str, origin: Mapping[str, str | None]) -> View:
    """Asks why; arguments as of `snooze_view`."""
    blocks = [
        section(_what(name, "This job is alerted no more, until somebody unmutes it.")),
        input_("reason", "Reason", text_input(MAX_REASON), optional=False),
    ]
    return modal(MUTE_TITLE, blocks, submit="Mute", callback_id=MUTE_VIEW, private_metadata=_kept(failure_id, origin))


def reason_missing() -> dict[str, str]:
    """Said at the field of a reason that is blank."""
    return {"reason": "Say why, so that others know."}


def _what(name: str, how: str) -> str:
    return f"*{foreign(name, 120)}*\n{how}"


def _kept(failure_id: str, origin: Mapping[str, str | None]) -> str:
    return json.dumps({"failure": failure_id, **{name: value for name, value in origin.items() if value}})


def woken(on_call: OnCall, said: str, what: str, cause: Sequence[Block] = (), *, it: str = "it") -> Message:
    """Said in the thread once, when the snooze is over and the job is still failed.

    Args:
        said: what a phone shows.
        what: what is failed, with formatting.
        cause: why it is.
        it: what stands for it in the sentence.
    """
    until_now = f"<@{on_call.snoozed_by}> snoozed {it} until now."
    return Message(f"{said} — {until_now}", [section(f":alarm_clock: {what} still failed; {until_now}"), *cause])


# What is said privately to who was too late, or may not.


def _said(text: str) -> Message:
    return Message(text, [section(text)])


def gone() -> Message:
    """Said when there is no such alert."""
    return _said(":information_source: There is no such alert any more. Nothing was changed.")


def not_failed() -> Message:
    """Said when the job moved on meanwhile."""
    return _said(":information_source: It is not failed just now, so there is nothing to take or to snooze.")


def taken_already(on_call: OnCall) -> Message:
    """Said when somebody else was faster."""
    since = f", since {date(on_call.taken_at, 'time')}" if on_call.taken_at else ""
    text = f":information_source: <@{on_call.taken_by}> is on it already{since}. Ask them, or press *Release* first."
    return _said(text)


def not_taken(on_call: OnCall) -> Message:
    """Said when nobody is on it any more."""
    by = f": <@{on_call.released_by}> released it before you" if on_call.released_by else ""
    return _said(f":information_source: Nobody is on it any more{by}.")


def taken_by_another(on_call: OnCall) -> Message:
    """Said when it changed hands meanwhile, so that nobody takes it from the wrong person."""
    return _said(f":information_source: It is <@{on_call.taken_by}> who is on it now, so it was not released.")


def snoozed_already(on_call: OnCall) -> Message:
    """Said when somebody else snoozed it meanwhile."""
    when = date(on_call.snoozed_until, "time") if on_call.snoozed_until else "later"
    text = f":information_source: <@{on_call.snoozed_by}> snoozed it already, until {when}. Press *End snooze* first."
    return _said(text)


def not_snoozed() -> Message:
    """Said when the snooze is over already."""
    return _said(":information_source: It is not snoozed any more.")


def muted_already(on_call: OnCall) -> Message:
    """Said when somebody else muted it meanwhile."""
    return _said(f":information_source: <@{on_call.muted_by}> muted it already.")


def released_from_you(by: str, name: str, link: str | None) -> Message:
    """Told to whoever was on it, when somebody else released it.

    Args:
        name: what the failure is called, in foreign words.
        link: to its message.
    """
    where = f" <{link}|See it>." if link else ""
    return _said(f":information_source: <@{by}> released *{foreign(name, 120)}*, which you were on.{where}")
