"""What a request shows while it waits for a second person, and after. Pure.

👥 @Ann wants to retry data import *hotfire-118* · stand-2 (retry 3). Somebody else who may retry it has to approve …
May approve: @Bob, @launch-ops
[Approve] [Decline…] [Override…]
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.base.clock import rfc3339
from bot.retries.messages.job import status_of
from bot.retries.messages.naming import SHORT_ID, cause_of, choice_of, in_sentence, title_of, why_block
from bot.retries.request import Retry
from bot.retries.state import UNSENT, ApprovalReason, RefusalReason
from bot.slack.blocks import (
    MAX_OPTIONS,
    actions,
    button,
    counted,
    date,
    input_,
    listing,
    mention,
    modal,
    multi_select,
    option,
    plain,
    section,
    text_input,
)
from bot.slack.message import Block, Message, View

APPROVE, SOME, DECLINE, OVERRIDE = "approve_retry", "approve_some", "decline_retry", "override_retry"
"""The action IDs of the buttons; their values are the ID of the request or the batch."""

APPROVE_AT_HOME, DECLINE_AT_HOME = "approve_waiting", "decline_waiting"
"""The same in the Home tab."""

SOME_VIEW, DECLINE_VIEW, OVERRIDE_VIEW = "approve_some_view", "decline_view", "override_view"
"""The callback IDs of the modals that ask which to approve, and why somebody declines or overrides."""

SOME_TITLE, DECLINE_TITLE, OVERRIDE_TITLE = "Approve some", "Decline", "Override"

MAX_REASON = 500
"""Characters of a reason."""

MAX_NAME = 45
"""Characters of a name in an option, so that the cause has room beside it."""

MAX_NAMED = 5
"""So many of those who may approve are named."""


def approval(retry: Retry) -> Message:
    """Asks for a second person in the thread, and then says who spoke."""
    if retry.override_reason is not None:
        text = f":rotating_light: <@{retry.approved_by}> overrode the second person.{_in_vain(retry)}"
        return Message(text, [section(text), plain(f"Because: {retry.override_reason}")])
    if retry.approved_by is not None:
        by = listing(mention(one) for one in retry.approvers or (retry.approved_by,))
        text = f":white_check_mark: Approved by {by}.{_in_vain(retry)}"
        return Message(text, [section(text)])
    if retry.sent_at is not None or retry.detail.get("why") == "restored":
        text = ":hourglass: The bot was restored from a backup, so it is not known whether somebody approved this."
        return Message(text, [section(text)])
    if not retry.waits_for_approval or retry.approval_until is None:
        return _over(retry)
    text = _asked(retry, retry.approval_until)
    in_thread_alone = retry.thread_ts is not None  # else the announcement says the reason
    reason = [plain(f"Reason: {retry.reason}")] if retry.reason and in_thread_alone else []
    approve = button("Approve", APPROVE, retry.id, style="primary")
    buttons = actions([approve, *other_buttons(retry.id)])
    return Message(text, [section(text), *reason, *standing([retry]), *_why(retry), buttons])


def _asked(retry: Retry, until: datetime) -> str:
    """Who wants what, and whose word that takes."""
    needed = retry.approvals_needed or 1
    others = "Somebody else who may retry it has" if needed == 1 else f"{needed} other people who may retry it have"
    return (
        f":busts_in_silhouette: <@{retry.user_id}> wants to retry {in_sentence(_title(retry))} "
        f"(retry {retry.attempt or 1}). {others} to approve, until {date(until, 'time')}. Nothing was sent to Sift yet."
    )


def whose(needed: int, requester: str, what: str) -> str:
    """Whose word is taken: `a second person: somebody other than @Ann who may retry it has to approve`."""
    if needed == 1:
        return f"a second person: somebody other than <@{requester}> who may retry {what} has to approve"
    return f"{needed} more people: {needed} people other than <@{requester}> who may retry {what} have to approve"


def other_buttons(of: str) -> list[Block]:
    """What may be pressed instead of *Approve*."""
    return [button("Decline…", DECLINE, of), button("Override…", OVERRIDE, of)]


def standing(waiting: Sequence[Retry]) -> list[Block]:
    """Who approved so far, where it takes several, and who could."""
    words = given([retry.approvers for retry in waiting], waiting[0].approvals_needed)
    lines = [line for line in (words, who_may(waiting)) if line]
    return [section("\n".join(lines))] if lines else []


def given(words: Sequence[tuple[str, ...]], needed: int | None) -> str:
    """Who approved so far, where it takes several; empty where nobody did.

    Args:
        words: who approved each of what waits.
    """
    if not any(words):
        return ""
    by = listing(mention(one) for one in dict.fromkeys(one for some in words for one in some))
    if len(set(words)) > 1:
        return f":white_check_mark: Approved in part, by {by}"
    return f":white_check_mark: {len(words[0])} of {needed or 1} approved: {by}"


def counted_until(of: str, until: datetime | None) -> str:
    """The value of a button that says how many it approves: what comes to wait later is not among them."""
    return of if until is None else f"{of} {rfc3339(until)}"


def who_may(waiting: Sequence[Retry]) -> str:
    """Who could approve, as it was when they were asked; empty where that is not known."""
    told = [retry.detail for retry in waiting if "may_approve" in retry.detail]
    if not told:
        return ""
    spoken = set(waiting[0].approvers)
    named = [one for one in dict.fromkeys(one for detail in told for one in detail["may_approve"]) if one not in spoken]
    rest = max(int(detail.get("more", 0)) for detail in told) + len(named[MAX_NAMED:])
    if not named and not rest:
        return ":warning: Nobody else may approve this yet: an admin has to grant somebody access first."
    more = [counted(rest, "other")] if rest else []
    return f"May approve: {listing([*map(mention, named[:MAX_NAMED]), *more])}"


def _over(retry: Retry) -> Message:
    """Says that nobody's word is waited for any more, and why."""
    because: list[Block] = []
    match retry.detail.get("why"):
        case ApprovalReason.EXPIRED:
            text = ":hourglass: Nobody else approved this in time, so nothing was sent to Sift. Retry it to ask again."
        case ApprovalReason.DECLINED:
            text = f":no_entry: Declined by <@{retry.detail.get('by')}>. Nothing was sent to Sift."
            because = [plain(f"Because: {retry.detail['said']}")] if retry.detail.get("said") else []
        case RefusalReason.MOVED_ON | RefusalReason.UNDER_WAY:
            text = f":information_source: Over: {ended_because(retry)}. Nothing was sent to Sift."
        case _:
            text = ":information_source: This waits for nobody any more. Nothing was sent to Sift."
    return Message(text, [section(text), *because])


def _in_vain(retry: Retry) -> str:
    """What became of a request that was let through and not sent; empty for any other."""
    if retry.state not in UNSENT:
        return ""
    why = ended_because(retry)
    return f" But nothing was sent to Sift{f': {why}' if why else ''}."


def ended_because(retry: Retry) -> str:
    """Why a request that waited was not sent, where others see it: `the job moved on meanwhile, and is *finished*`."""
    match retry.detail.get("why"):
        case RefusalReason.MOVED_ON:
            status = status_of(retry.job.job_status if retry.job else None)[1].lower()
            failed = status in ("failed", "cancelled")
            return "the job moved on meanwhile" + (", and failed anew" if failed else f", and is *{status}*")
        case RefusalReason.UNDER_WAY | RefusalReason.JUST_RETRIED:
            return f"the job is being retried by <@{retry.detail.get('by')}>"
        case _:
            return ""


def _why(retry: Retry) -> list[Block]:
    """Why it failed, which whoever approves wants to know."""
    cause = why_block(retry.job, retry.about)
    return [section("*Failed because*"), *cause] if cause else []


def _title(retry: Retry) -> str:
    return title_of(retry.job, retry.job_id, retry.about)


def nobody_can_approve(retry: Retry) -> Message:
    """Said to the requester alone where nobody else sees in a channel that they wait."""
    where = "I may not post there" if retry.channel_id else "you asked where only you are"
    text = (
        f":busts_in_silhouette: Retry {retry.attempt or 1} of {_title(retry)} takes a second person, but nobody else "
        f"sees this: {where}. It waits on my Home tab for whoever may approve it. Nothing was sent to Sift yet."
    )
    return Message(text, [section(text), *standing([retry])])


def broken_glass(retry: Retry) -> Message:
    """Tells the whole channel that an admin overrode the second person."""
    text = f":rotating_light: <@{retry.approved_by}> overrode the second person for the retry of {_title(retry)}."
    return Message(text, [section(text), plain(f"Because: {retry.override_reason}")])


def no_longer_waiting(retry: Retry | None = None) -> Message:
    """Said when somebody else was faster, or the time is over."""
    text = f":information_source: This request waits for nobody any more{_by_whom(retry)}. Nothing was done."
    return Message(text, [section(text)])


def _by_whom(retry: Retry | None) -> str:
    """Who was faster, or what."""
    if retry is None:
        return ""
    if retry.approved_by is not None:
        return f": <@{retry.approved_by}> {'approved' if retry.override_reason is None else 'overrode'} it"
    why = retry.detail.get("why")
    if why == ApprovalReason.DECLINED:
        return f": <@{retry.detail.get('by')}> declined it"
    if why == ApprovalReason.EXPIRED or retry.waits_for_approval:
        return ": its time is over"
    return f": {ended}" if (ended := ended_because(retry)) else ""


def approved_already(retry: Retry) -> Message:
    """Said to somebody who approves twice what takes several people."""
    left = (retry.approvals_needed or 1) - len(retry.approvers)
    more = "one more person has" if left == 1 else f"{left} more people have"
    text = f":information_source: You have approved this already; {more} to. Nothing was done."
    return Message(text, [section(text)])


def not_by_oneself() -> Message:
    """Said to somebody who approves their own request."""
    text = ":no_entry: Somebody else has to approve: it is your own request. Nothing was sent to Sift."
    return Message(text, [section(text)])


def some_left(denied: Message, left: int, done: int) -> Message:
    """Said to somebody who may speak for a part of what waits."""
    others = f"{counted(left, 'other')} still wait{'s' if left == 1 else ''}"
    text = f":information_source: Done for {counted(done, 'job')}; {others}."
    return Message(text, [section(text), *denied.blocks])


def override_view(waiting: Sequence[Retry], of: str) -> View:
    """Asks an admin why they override.

    Args:
        of: the request, or the batch.
    """
    what = "The retry goes out" if len(waiting) == 1 else f"{len(waiting)} retries go out"
    warning = f"{what} without a second person. The audit says so, and so does a message in the channel."
    blocks = [section(warning), input_("reason", "Reason", text_input(MAX_REASON), optional=False)]
    return modal(OVERRIDE_TITLE, blocks, submit="Override", callback_id=OVERRIDE_VIEW, private_metadata=of)


def decline_view(waiting: Sequence[Retry], of: str) -> View:
    """Asks somebody why they decline, if they say."""
    what = f"{_title(waiting[0])} is" if len(waiting) == 1 else f"{counted(len(waiting), 'job')} that wait are"
    warning = f"{what} not retried, and <@{waiting[0].user_id}> is told that you declined."
    blocks = [section(warning), input_("reason", "Reason", text_input(MAX_REASON))]
    return modal(DECLINE_TITLE, blocks, submit="Decline", callback_id=DECLINE_VIEW, private_metadata=of)


def some_view(waiting: Sequence[Retry], of: str) -> View:
    """Asks which jobs of a batch somebody approves.

    Args:
        waiting: those that they may approve; a hundred are offered.
    """
    names = Counter(map(_choice, waiting))
    options = [option(_label(retry, names), retry.id) for retry in waiting[:MAX_OPTIONS]]
    unlisted = len(waiting) - len(options)
    blocks = [input_("jobs", "Jobs to approve", multi_select(options, placeholder="Pick"), optional=False)]
    if unlisted > 0:
        blocks.append(section(f"{counted(unlisted, 'more job')} wait: too many to list."))
    return modal(SOME_TITLE, blocks, submit="Approve", callback_id=SOME_VIEW, private_metadata=of)


def _label(retry: Retry, names: Mapping[str, int]) -> str:
    """A job as something to pick: name, which retry it would be, and why it failed; alike ones by their short IDs."""
    short, name = retry.job_id[:SHORT_ID], _choice(retry)
    told = f"{name} ({short})" if names[name] > 1 and short not in name else name
    cause = cause_of(retry.job, retry.about)
    return f"{told}, retry {retry.attempt or 1}" + (f" – {cause}" if cause else "")


def _choice(retry: Retry) -> str:
    return choice_of(retry.job, retry.job_id, retry.about, MAX_NAME)
