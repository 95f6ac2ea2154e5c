"""Reports that missed late data: the offer to evaluate them again, and the messages that show that. Pure.

⏱️ 3 reports of *hotfire-118* were evaluated before this data arrived
Hot-fire limits · today 2:10 PM [Rerun…]
Chill-down · today 2:12 PM · evaluated again by @Ann
[Rerun all (2)]
"""

from collections.abc import Sequence

from bot.access.messages import denied
from bot.base.text import clip
from bot.retries.late import Late, LateReport, together
from bot.retries.messages import refusal
from bot.retries.messages.answers import cannot_post
from bot.retries.messages.batch import is_told
from bot.retries.messages.cancel import being_cancelled, cancel_buttons, told_and_ended
from bot.retries.messages.job import progress, retry_button, why_now
from bot.retries.messages.naming import MAX_PART, SHORT_ID, grey
from bot.retries.messages.refusal import called
from bot.retries.request import Batch, Retry
from bot.retries.state import UNSENT, State
from bot.sift import web
from bot.sift.job import Job
from bot.slack.blocks import actions, button, confirm, context, counted, date, foreign, plain, section
from bot.slack.links import Place
from bot.slack.message import Block, Message
from bot.slack.piece import Piece

RERUN = "rerun_report"
"""The action ID of the button for one report; its value is the request, or batch, that offers it, and the report."""

RERUN_ALL = "rerun_reports"
"""The action ID of the button for all that are left; its value is the request, or batch, that offers them."""

_HOW = {
    State.REQUESTED: (":hourglass_flowing_sand:", "waiting"),
    State.SENDING: (":hourglass_flowing_sand:", "waiting"),
    State.UNKNOWN: (":grey_question:", "Sift did not answer; checking whether it took the request"),
    State.ACCEPTED: (":arrows_counterclockwise:", "under way"),
    State.NOT_APPLIED: (":warning:", "Sift never took it; nothing was rerun"),
    State.DENIED: (":no_entry:", "not allowed"),
    State.REFUSED: (":information_source:", "refused"),
    State.FAILED: (":x:", "Sift did not accept it"),
    State.FINISHED: (":white_check_mark:", "finished"),
    State.FAILED_AGAIN: (":x:", "failed"),
    State.CANCELLED: (":no_entry_sign:", "was cancelled"),
    State.LOST: (":grey_question:", "is no longer followed; look at it in Sift"),
}


def late_pieces(shown_by: str, found: Late, place: Place, *, private: bool) -> list[Piece]:
    """What is said of reports that were evaluated too early; nothing where there is none.

    Args:
        shown_by: the request, or the batch, whose thread it stands in.
        private: whether only the requester sees what belongs to it.
    """
    if not found.reports:
        return []
    total = len(found.reports) + found.more
    name = f" of *{foreign(found.run.name, MAX_PART)}*" if found.run.name else ""
    text = f"{counted(total, 'report')}{name} {'was' if total == 1 else 'were'} evaluated before this data arrived"
    blocks = [section(f":stopwatch: {text}"), *(_line(shown_by, one, place) for one in found.reports)]
    if found.more:
        blocks.append(context(f"These are the newest; {found.more:,} more are in Sift."))
    if len(found.open) > 1:
        blocks.append(actions([_rerun_all(shown_by, len(found.open))]))
    return [Piece("private-late" if private else "late", Message(text, blocks))]


def late_of(members: Sequence[Retry]) -> Late:
    """The reports that the imports of a batch came too late for."""
    return together(member.late for member in members)


def _line(shown_by: str, report: LateReport, place: Place) -> Block:
    when = f" · {date(report.created_at, 'time')}" if report.created_at else ""
    name = f"{_linked(report.name, report.id, place)}{when}"
    if report.rerun_by:
        return section(f"{name} · evaluated again by <@{report.rerun_by}>")
    return section(name, _rerun(shown_by, report.id, report.name))


def _rerun(shown_by: str, report_id: str, name: str) -> Block:
    asked = confirm(
        "Evaluate it again?",
        f"Sift will evaluate {clip(name, MAX_PART) or 'the report'} once more over the newest data, into a new report.",
        "Rerun",
        "Not now",
    )
    return button("Rerun…", RERUN, f"{shown_by} {report_id}", confirm=asked)


def _rerun_all(shown_by: str, count: int) -> Block:
    asked = confirm(
        "Evaluate all of them again?",
        f"Sift will evaluate {count} reports once more over the newest data, each into a new report.",
        "Rerun all",
        "Not now",
    )
    return button(f"Rerun all ({count})", RERUN_ALL, shown_by, style="primary", confirm=asked)


def _linked(name: str, report_id: str, place: Place) -> str:
    """A report by its name, leading to it where that is known."""
    shown = foreign(name, MAX_PART) if name else f"report `{foreign(report_id[:SHORT_ID])}`"
    app = place.sift_app_url
    return f"<{web.report_url(app, report_id)}|{shown}>" if app and name else shown


def nothing_left() -> Message:
    """Said when somebody clicks to evaluate again what is, or was, by somebody else."""
    text = ":information_source: These were evaluated again since, or are being; nothing was sent to Sift."
    return Message(text, [section(text)])


def pieces(retry: Retry, place: Place) -> list[Piece]:
    """Every message that should show one rerun as its row is now, in the order they are posted."""
    return told_and_ended(retry, place, "rerun", lambda retry: _told(retry, place), lambda retry: _ending(retry, place))


def _told(retry: Retry, place: Place) -> Message:
    """Who has what evaluated again, and how that stands."""
    emoji, words = _HOW[retry.state]
    doing = "reran" if retry.final else "is rerunning"
    if retry.state is State.NOT_APPLIED:
        doing = "wanted to rerun"
    text = f"<@{retry.user_id}> {doing} {called(retry)}: {words}"
    blocks = [
        section(f"{emoji} {text}{_new_report(retry, place)}"),
        *(progress(retry.job_after) if retry.job_after is not None else []),
        *_explained(retry),
        *being_cancelled(retry),
        *_buttons(retry),
        *grey(retry.job_after, retry.followed_id, retry.id),
    ]
    return Message(text, blocks)


def _ending(retry: Retry, place: Place) -> Message:
    """Tells the requester how it ended."""
    emoji, words = _HOW[retry.state]
    text = f"<@{retry.user_id}>, the rerun {words}: {called(retry)}"
    if retry.state is State.NOT_APPLIED:
        text = f"<@{retry.user_id}>, {words}: {called(retry)}"
    return Message(text, [section(f"{emoji} {text}{_new_report(retry, place)}"), *_why(retry), *_buttons(retry)])


def _new_report(retry: Retry, place: Place) -> str:
    """The link to what the rerun made, once that is known."""
    job, app = retry.job_after, place.sift_app_url
    details = job.job_details.rule_evaluation if job and job.job_details else None
    report_id = str(details.report_id if details else retry.detail.get("new_report_id", ""))
    return f" · <{web.report_url(app, report_id)}|new report>" if app and report_id else ""


def _explained(retry: Retry) -> list[Block]:
    """What the person should know about an outcome that is no plain success."""
    if retry.state is State.UNKNOWN:
        how = (
            "Sift still cannot be read; this message changes as soon as it can."
            if retry.detail.get("overdue")
            else "The run's reports are being read to find out."
        )
        return [section(f"The request may or may not have reached Sift, so it is not sent again. {how}")]
    return _why(retry)


def _why(retry: Retry) -> list[Block]:
    """Why the new evaluation failed, where Sift says so."""
    why = retry.again.headline or why_now(retry.job_after) if retry.state is State.FAILED_AGAIN else None
    return [plain(str(why), 300)] if why else []


def _buttons(retry: Retry) -> list[Block]:
    """What may be done about it: stop it, ask once more, or retry what failed."""
    buttons = cancel_buttons(retry)
    if retry.state is State.NOT_APPLIED and retry.offered and retry.report_id:
        buttons.append(_rerun(retry.offered, retry.report_id, ""))
    if (job := _to_retry(retry)) is not None:
        buttons.append(retry_button(job))
    return [actions(buttons)] if buttons else []


def _to_retry(retry: Retry) -> Job | None:
    """The job that the rerun began, if it failed and nobody has retried it since."""
    job = retry.job_after
    return job if retry.final and retry.superseded_by is None and job is not None and job.retryable else None


def batch_pieces(batch: Batch, place: Place) -> list[Piece]:
    """Every message that should show several reruns asked for at once."""
    if batch.refusal:
        return [Piece("private-refused", _refused_whole(batch, place))]
    unsent = [retry for retry in batch.members if retry.state in UNSENT]
    written = sum(batch.states.values()) >= batch.total
    waiting = any(retry.state in (State.REQUESTED, State.SENDING) for retry in batch.members)
    private = [Piece("private-refused", _refused(batch, unsent, place))] if written and unsent and not waiting else []
    if not _was_sent(batch) and not is_told(batch):
        return private  # as long as nothing was sent to Sift, there is nothing to show to others
    told = _tally(batch, place)
    if batch.unpostable is not None or batch.channel_id is None:
        phase = "private-end" if batch.final else "private-start"
        return [Piece(phase, Message(told.text, [cannot_post(batch), *told.blocks])), *private]
    shown = [Piece("announcement" if batch.thread_ts is None else "tally", told)]
    if batch.final and _was_sent(batch):
        shown.append(Piece("ending", _batch_ending(batch)))
    return [*shown, *private]


def _was_sent(batch: Batch) -> bool:
    """Whether any of it was sent to Sift, and not refused by it."""
    return any(retry.sent_at is not None and retry.state not in UNSENT for retry in batch.members)


def _tally(batch: Batch, place: Place) -> Message:
    """Who has how many reports evaluated again, and how each of them stands."""
    verb = "is rerunning" if not batch.final else "reran" if _was_sent(batch) else "wanted to rerun"
    text = f"<@{batch.user_id}> {verb} {counted(batch.total, 'report')}"
    emoji = ":information_source:" if batch.final else ":arrows_counterclockwise:"
    if batch.states.get(State.FINISHED, 0) >= batch.total:
        emoji = ":white_check_mark:"
    lines = [section(f"{_HOW[one.state][0]} {_member(one, place)}", _cancel_beside(one)) for one in batch.members[:20]]
    blocks = [section(f"{emoji} *{text}*"), *lines, context(f"Reference `{batch.id}`")]
    return Message(f"{text}: {_standing(batch)}", blocks)


def _member(retry: Retry, place: Place) -> str:
    return f"{called(retry)} · {_HOW[retry.state][1]}{_new_report(retry, place)}"


def _cancel_beside(retry: Retry) -> Block | None:
    if (job := _to_retry(retry)) is not None:
        return retry_button(job)
    return next(iter(cancel_buttons(retry)), None)


def _standing(batch: Batch) -> str:
    counts = {words: 0 for _, words in _HOW.values()}
    for state, count in batch.states.items():
        counts[_HOW[State(state)][1]] += count
    return ", ".join(f"{count:,} {words}" for words, count in counts.items() if count)


def _batch_ending(batch: Batch) -> Message:
    """Tells whoever asked how all of it ended."""
    text = f"<@{batch.user_id}>, your {counted(batch.total, 'report')}: {_standing(batch)}."
    return Message(text, [section(text)])


def _refused(batch: Batch, unsent: Sequence[Retry], place: Place) -> Message:
    """Which of the reports were not evaluated again, and why: for whoever asked alone."""
    title = f":no_entry: {len(unsent):,} of {counted(batch.total, 'report')} not rerun."
    return Message(title, [section(title), *refusal.reasons(unsent, place), context(f"Reference `{batch.id}`")])


def _refused_whole(batch: Batch, place: Place) -> Message:
    """Why none of it was let through: for whoever asked alone."""
    reference = context(f"Reference `{batch.id}`")
    if batch.refusal.get("why") == "under_way":
        link = place.workspace.link(batch.refusal.get("channel_id"), batch.refusal.get("ts"))
        there = f" Follow it <{link}|in its thread>." if link else ""
        title = f":information_source: All of this is already under way by <@{batch.refusal.get('by')}>.{there}"
        return Message(title, [section(f"{title}\nNothing was sent to Sift for you."), reference])
    said = denied(batch.refusal, "rerun reports")
    return Message(said.text, [*said.blocks, section("Nothing was sent to Sift."), reference])
