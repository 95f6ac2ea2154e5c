"""What became of a change to the allow-list: said to whoever wanted it, and to whom it concerns. Pure.

✅ @Ann may retry jobs of type data import until 8:00 PM.
🔑 @Ada gave you access: you may retry jobs until 8:00 PM.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.access.holding import Holding
from bot.access.messages import BY_SETTING, WHAT, scope, through, until
from bot.access.modal import at_its_field
from bot.access.policy import Grant
from bot.slack.blocks import actions, button, counted, date, listing, mention, plain, section
from bot.slack.message import Block, Message

REPLACE_GRANTS, KEEP_GRANTS = "replace_grants", "keep_grants"
"""The action IDs of the buttons beside a grant that adds nothing; the value is `grant number subject`."""

NOTHING = "Nothing was changed."

_UNFIT = {
    "is_guest": "guests may not be granted anything",
    "is_bot": "bots may not be granted anything",
    "deactivated": "the account is deactivated",
    "other_workspace": "only people of this workspace may be granted anything",
    "unknown_person": "Slack could not say who that is",
    "unknown_group": "Slack could not say who is in that user group",
    "other_role": "that role is more than you hold yourself",
    "other_job_type": "your own grant is for some job types only",
    "other_channel": "your own grant is for some channels only",
    "longer": "your own grant ends before that",
    "more_than_held": "that grant is more than you hold yourself",
    "last_admin": "that would leave nobody who can grant access; make somebody else an admin first",
}


@dataclass(frozen=True)
class NotGranted(Message):
    """A refusal, and the same as the error at the field of the modal that it is about."""

    errors: Mapping[str, str] = field(default_factory=dict)


def granted(grant: Grant, held: Holding, older: Sequence[Grant] = ()) -> Message:
    """Said to whoever granted.

    Args:
        held: what the user or group holds now altogether.
        older: their own grants beside which this one adds nothing; whether they stay is asked.
    """
    idle = not held.is_empty and grant.id not in {one.id for one in held.grants}
    if idle:
        text = (
            f":white_check_mark: Granted to {mention(grant.subject)}: {_may(grant)}.\n:warning: That adds nothing, "
            f"since they hold as much already: altogether they {_all(held)}.{_question(older)}"
        )
    else:
        text = f":white_check_mark: {mention(grant.subject)} {_may(grant)}.{_altogether(held, grant)}"
    return Message(text, [section(text), *_because(grant), *(_choice(grant) if idle and older else [])])


def _question(older: Sequence[Grant]) -> str:
    if not older:
        return ""
    ends = listing(f"“{_may(one)}” by {_giver(one)}" for one in older[:5])
    more = f" and {len(older) - 5} more" if len(older) > 5 else ""
    return f"\n*Replace* ends what they were granted before: {ends}{more}. *Keep both* leaves it."


def _giver(grant: Grant) -> str:
    return mention(grant.granted_by) if grant.granted_by[:1] in "UW" else "the command line"


def _choice(grant: Grant) -> list[Block]:
    value = f"{grant.id} {grant.subject}"
    replace = button("Replace", REPLACE_GRANTS, value, style="primary")
    return [actions([replace, button("Keep both", KEEP_GRANTS, value)])]


def _may(grant: Grant) -> str:
    return f"{WHAT[grant.role]}{scope(grant)}{until(grant)}"


def _all(held: Holding, nobody: str = "may not do anything") -> str:
    """What somebody may do altogether, to follow “they” or “you”."""
    if held.by_setting:
        return BY_SETTING
    unsure = " (as far as is known: Slack could not say just now who is in which user group)" if held.unsure else ""
    return (listing(f"{_may(one)}{through(one)}" for one in held.grants) if held.grants else nobody) + unsure


def _altogether(held: Holding, grant: Grant) -> str:
    return "" if held.grants == (grant,) and not held.unsure else f"\nAltogether they {_all(held)}."


def _because(grant: Grant) -> list[Block]:
    return [plain(f"Because: {grant.reason}")] if grant.reason else []


def not_granted(subject: str, why: str, held: Grant | None) -> NotGranted:
    """Said when a grant was refused though the person may grant."""
    hint = ""
    if why == "longer" and held is not None and held.expires_at is not None:
        hint = f" Yours ends {date(held.expires_at)}: add `for …` with less time."
    said = _UNFIT.get(why, why)
    text = f":no_entry: {mention(subject)} was granted nothing: {said}.{hint} {NOTHING}"
    less = " Choose less time." if why == "longer" else ""
    errors = at_its_field(subject, why, f"{said[:1].upper()}{said[1:]}.{less} {NOTHING}")
    return NotGranted(text, [section(text)], errors)


def revoked(subject: str, ended: Sequence[Grant], held: Holding) -> Message:
    """Said to whoever revoked.

    Args:
        held: what the user or group still holds.
    """
    roles = listing(sorted({grant.role.value for grant in ended}))
    grants = f"{counted(len(ended), 'grant')} ended ({roles})"
    text = f"{mention(subject)}: {grants}. Altogether they still {_all(held)}."
    if held.is_empty:
        text = f"{mention(subject)} has no access any more: {grants}. Buttons that they still see tell them so."
    if held.is_empty and held.unsure:
        unsure = "Slack could not say just now whether a user group still gives them access"
        text = f"{mention(subject)}: {grants}. {unsure}."
    return _said(f":white_check_mark: {text}")


def not_revoked(subject: str, why: str) -> Message:
    """Said when a grant cannot be ended from Slack."""
    return _said(f":no_entry: {mention(subject)} keeps their access: {_UNFIT.get(why, why)}. {NOTHING}")


def nothing_to_revoke(subject: str, last: tuple[str, datetime] | None = None) -> Message:
    """Said when there is nothing to end, such as to the second of two who revoke.

    Args:
        last: who ended the last of it, and when; None: there never was any.
    """
    if last is None:
        return _said(f":information_source: {mention(subject)} is not on the allow-list. {NOTHING}")
    by = mention(last[0]) if last[0][:1] in "UW" else "the command line"
    ended = f"that access of {mention(subject)} was ended {date(last[1])} by {by}"
    return _said(f":information_source: There is nothing to revoke: {ended}. {NOTHING}")


def slack_silent() -> Message:
    """Said when Slack takes too long to say who people are."""
    return _said(f":warning: Slack could not say in time who you or they are. {NOTHING} Try again in a moment.")


def replaced(grant: Grant, ended: Sequence[Grant], held: Holding) -> Message:
    """Said to whoever had a grant take the place of older ones."""
    text = f":white_check_mark: Replaced: {counted(len(ended), 'older grant')} of {mention(grant.subject)} ended."
    return _said(f"{text} Altogether they {_all(held)}.")


def kept(grant: Grant, held: Holding) -> Message:
    """Said to whoever left the older grants beside a new one."""
    return _said(f":white_check_mark: Both grants stay: altogether {mention(grant.subject)} {_all(held)}.")


def chosen_before(by: str, replacing: bool, at: datetime) -> Message:
    """Said to whoever presses a button after somebody, or they themselves, pressed one of the two."""
    name = "Replace" if replacing else "Keep both"
    return _said(f":information_source: {mention(by)} already chose *{name}* {date(at)}. {NOTHING}")


def nothing_to_replace(subject: str, held: Holding) -> Message:
    """Said when the grant, or those that it was to replace, ended meanwhile."""
    text = f":information_source: What was to be replaced is no longer so. {NOTHING}"
    return _said(f"{text} Altogether {mention(subject)} {_all(held)}.")


def told_granted(by: str, grant: Grant, held: Holding) -> Message:
    """Said to whom it concerns, once they have more access."""
    more = "" if held.grants == (grant,) else f"\nAltogether you {_all(held)}."
    text = f":key: {mention(by)} gave you access: you {_may(grant)}.{more}\nWhat you can do: `/sift-retry help`"
    return Message(text, [section(text), *_because(grant)])


def told_revoked(by: str, ended: Sequence[Grant], held: Holding) -> Message:
    """Said to whom it concerns, once they have less access."""
    was = listing(_may(one) for one in ended[:5])
    left = f"Altogether you still {_all(held)}." if not held.is_empty else f"Ask {mention(by)} if you need it again."
    return _said(f":no_entry: {mention(by)} ended your access: you no longer {was}. {left}")


def told_replaced(by: str, held: Holding) -> Message:
    """Said to whom it concerns, once a narrower grant took the place of what they had."""
    return _said(f":key: {mention(by)} changed your access. Altogether you now {_all(held)}.")


def changes_nothing(refusal: Message) -> Message:
    """Returns a refusal with the sentence that nothing was changed, unless it says so already."""
    if NOTHING in refusal.text or NOTHING.lower()[:-1] in refusal.text:
        return refusal
    return _said(f"{refusal.text}\n{NOTHING}")


def _said(text: str) -> Message:
    return Message(text, [section(text)])
