"""What failed of a run, shown to whoever asks alone; nothing is retried before a press. Pure.

❌ 7 jobs of *hotfire-118* failed
4 × column 'tank_pressure_kpa' is not a number
telemetry_0412.csv · telemetry_0413.csv · …
[Retry all (7)] [Select…]
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from bot.access.policy import Permission, Typed
from bot.base.text import clip
from bot.home.offer import Choice, Offer
from bot.retries.messages.job import kind_of
from bot.retries.messages.modals import JobOption, all_under_way_view, retry_view
from bot.retries.messages.naming import MAX_PART, SHORT_ID, cause_of
from bot.retries.messages.record import asked_once_more, readable, words
from bot.retries.record import Record
from bot.sift import web
from bot.sift.job import Job
from bot.sift.resources import Run
from bot.sift.subject import About
from bot.slack.blocks import (
    MAX_OPTION_TEXT,
    MAX_OPTIONS,
    actions,
    button,
    confirm,
    context,
    counted,
    date,
    foreign,
    option,
    section,
)
from bot.slack.links import Place
from bot.slack.message import Block, Message, View

RETRY_RUN, SELECT_RUN = "retry_run", "select_run"
"""The action IDs of the buttons under what failed of a run; their value is the offer's ID."""

CHOOSE_RUN = "choose_run"
"""The action ID of a button that says which run is meant; its value is the offer's ID and the run's number in it."""

MAX_CAUSES = 8
"""So many causes are shown, the most frequent; the jobs of the others are counted."""

MAX_NAMES = 6
"""So many jobs of one cause are named."""

MAX_CHOICES = 10
"""So many runs are offered to choose from."""

MAX_REASON = 300

_LOOK, _RETRY = Permission.LOOK, Permission.RETRY
HELP = (
    Typed("", "lets you pick from the jobs that failed lately", _RETRY),
    Typed("list [run <run>]", "lists what failed lately, or of a Sift run, and who is on which", _LOOK),
    Typed("run <run> [reason]", "shows what failed of a run (name, ID or link), to retry all of it or some", _RETRY),
    Typed("status <job ID>", "shows a job without retrying it", _LOOK),
)
"""What can be typed to look at jobs, and at those of a run."""


@dataclass(frozen=True)
class Failed:
    """What failed of a run, as it is shown.

    Args:
        jobs: those that nobody retries yet, the newest first.
        about: what they are about, by their IDs.
        under_way: how many failed ones are being retried already.
        complete: whether everything could be looked at.
        records: how retries after failures of the same causes ended; by `Why.cause`.
        offer_id: what the buttons stand for; None: there are none.
    """

    run: Choice
    jobs: Sequence[Job]
    about: Mapping[str, About]
    under_way: int = 0
    complete: bool = True
    records: Mapping[str, Record] = field(default_factory=dict)
    reason: str | None = None
    offer_id: str | None = None


def failed(seen: Failed, place: Place) -> Message:
    """What failed of a run now, by cause, and the buttons that retry it."""
    name = foreign(seen.run.name or seen.run.run_id, MAX_PART)
    linked = _linked(seen.run, name, place)
    if seen.jobs:
        emoji, before, after = ":x:", f"{counted(len(seen.jobs), 'job')} of", "failed"
    elif seen.under_way:
        emoji, before, after = (
            ":arrows_counterclockwise:",
            "Everything that failed of",
            "is being retried already, or waiting to be",
        )
    else:
        emoji, before, after = ":white_check_mark:", "No job of", "is failed in Sift just now"
    title = section(f"{emoji} *{before} {linked} {after}*")
    return Message(f"{before} {name} {after}", [title, *_causes(seen), *_notes(seen), *_buttons(seen)])


def _linked(run: Choice, name: str, place: Place) -> str:
    """A run's name, as a link to its page where there is one."""
    linked = place.sift_app_url and run.run_id and len(run.run_id) <= MAX_PART
    return f"<{web.run_url(place.sift_app_url or '', run.run_id)}|{name}>" if linked else name


def _causes(seen: Failed) -> list[Block]:
    """The failures by what they have in common, the most frequent first."""
    ordered = by_cause(seen.jobs, seen.about)
    rest = ordered[MAX_CAUSES:]
    more = f"… and {counted(sum(map(len, rest)), 'job')} with {counted(len(rest), 'other cause')}" if rest else ""
    return [*(_cause(jobs, seen) for jobs in ordered[:MAX_CAUSES]), *([section(more)] if more else [])]


def by_cause(jobs: Sequence[Job], about: Mapping[str, About]) -> list[list[Job]]:
    """Returns failures that have their cause in common together, the most frequent first."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        known = about.get(job.job_id, About())
        groups.setdefault(known.why.cause or cause_of(job, known), []).append(job)
    return sorted(groups.values(), key=len, reverse=True)


def _cause(jobs: Sequence[Job], seen: Failed) -> Block:
    """One cause in bold, the jobs that failed for it, and whether a retry helped before."""
    times = f"{len(jobs):,} × " if len(jobs) > 1 else ""
    helped = words(_record(jobs[0], seen), jobs[0].kind)
    title = f"*{times}{_shared(jobs, seen.about) or 'Sift does not say why'}*"
    return section("\n".join(filter(None, (title, _names(jobs, seen.about), helped))))


def _shared(jobs: Sequence[Job], about: Mapping[str, About]) -> str:
    """The cause in the words that the failures share, `…` where those differ."""
    causes = list(dict.fromkeys(cause_of(job, about.get(job.job_id, About())) for job in jobs))
    words = [cause.split() for cause in causes]
    if len({len(some) for some in words}) > 1:
        return foreign(readable(about.get(jobs[0].job_id, About()).why.cause), 200)
    return foreign(" ".join(same[0] if len(set(same)) == 1 else "…" for same in zip(*words, strict=True)), 200)


def _names(jobs: Sequence[Job], about: Mapping[str, About]) -> str:
    """What the jobs are called; a name that several have, once."""
    named = Counter(_name(job, about) for job in jobs)
    shown = [
        foreign(name, MAX_PART) + (f" (× {count:,})" if count > 1 else "")
        for name, count in islice(named.items(), MAX_NAMES)
    ]
    rest = sum(islice(named.values(), MAX_NAMES, None))
    return " · ".join(shown) + (f" and {rest:,} more" if rest else "")


def _record(job: Job, seen: Failed) -> Record:
    """How retries after failures like this one ended."""
    return seen.records.get(seen.about.get(job.job_id, About()).why.cause, Record())


def _name(job: Job, about: Mapping[str, About]) -> str:
    """What a job is called where its run is known: its file, its report, or its kind and short ID; not escaped yet."""
    subject = about.get(job.job_id, About()).subject
    return subject.file or (subject.report.name if subject.report else "") or f"{kind_of(job)} {job.job_id[:SHORT_ID]}"


def label_of(job: Job, about: Mapping[str, About]) -> str:
    """A failure as something to pick: name and cause, of foreign words as they are."""
    name, cause = _name(job, about), cause_of(job, about.get(job.job_id, About()))
    return clip(f"{clip(name, 40)} – {cause}" if cause else name, MAX_OPTION_TEXT)


def _notes(seen: Failed) -> list[Block]:
    """What else there is to know before anything is pressed, in small letters."""
    notes = []
    if not seen.run.run_id:
        notes.append("Sift does not know this run yet: it is called so by whoever uploaded the files.")
    if seen.under_way:
        verb = "is" if seen.under_way == 1 else "are"
        notes.append(f"{counted(seen.under_way, 'failed job')} {verb} being retried already, or waiting to be.")
    if not seen.complete:
        notes.append("Not everything could be looked at, so there may be more.")
    if seen.reason and seen.offer_id:
        notes.append(f"Reason: {foreign(seen.reason, MAX_REASON)}")
    if seen.jobs and seen.offer_id is None:
        notes.append("To retry them, type `/sift-retry run` and the run's name.")
    return [context(note) for note in notes]


def _buttons(seen: Failed) -> list[Block]:
    if seen.offer_id is None or not seen.jobs:
        return []
    count = len(seen.jobs)
    if count == 1:
        asked = asked_once_more(_record(seen.jobs[0], seen), seen.jobs[0].kind)
        return [actions([button("Retry", RETRY_RUN, seen.offer_id, style="primary", confirm=asked)])]
    what = f"Sift will be asked to retry {counted(count, 'failed job')} of {_plainly(seen.run)}, a few at a time."
    asked = confirm("Retry all?", what, "Retry all", "Not now")
    retry_all = button(f"Retry all ({count:,})", RETRY_RUN, seen.offer_id, style="primary", confirm=asked)
    return [actions([retry_all, button("Select…", SELECT_RUN, seen.offer_id)])]


def _plainly(run: Choice) -> str:
    """A run's name where no formatting is."""
    return clip(run.name or run.run_id, MAX_PART)


def selection(offer: Offer, origin: Mapping[str, str | None], under_way: int) -> View:
    """The modal that retries some of what was shown.

    Args:
        offer: its failures that nobody retries yet.
        origin: the source, and the channel and thread that the answer goes into.
        under_way: how many of them are being retried by now.
    """
    if not offer.jobs:
        return all_under_way_view(under_way)
    options = [JobOption(option(one.label or one.job_id, one.job_id)) for one in offer.jobs[:MAX_OPTIONS]]
    unlisted = max(0, len(offer.jobs) - MAX_OPTIONS)
    return retry_view(options, origin, under_way=under_way, unlisted=unlisted, reason=offer.reason)


def recorded(run: Choice, count: int) -> Message:
    """Takes the place of what failed once all of it was asked for; what becomes of it is shown elsewhere."""
    name = foreign(run.name or run.run_id, MAX_PART)
    text = f":inbox_tray: Asked for: {counted(count, 'failed job')} of *{name}*. You will be told what becomes of it."
    return Message(text, [section(text)])


def choose(name: str, runs: Sequence[Run], offer_id: str) -> Message:
    """Asks which of several runs is meant."""
    text = f"Several runs are called *{foreign(name, MAX_PART)}* or begin like that. Which one?"
    return Message(text, [section(f":mag: {text}"), *_choices(runs, offer_id)])


def not_found(name: str, runs: Sequence[Run], offer_id: str | None) -> Message:
    """Says that there is no such run, and which ones have a name like it.

    Args:
        name: or the ID.
    """
    text = f"Sift knows no run *{foreign(name, MAX_PART)}*, or the bot's key may not see it."
    nearest = [section("These begin alike:"), *_choices(runs, offer_id)] if runs and offer_id else []
    return Message(text, [section(f":grey_question: {text}"), *nearest])


def _choices(runs: Sequence[Run], offer_id: str) -> list[Block]:
    shown = [_choice(run, f"{offer_id} {number}") for number, run in enumerate(runs[:MAX_CHOICES])]
    more = len(runs) - MAX_CHOICES
    hint = f"… and {counted(more, 'other run')}: type more of the name, or paste the link of the run."
    return [*shown, *([context(hint)] if more > 0 else [])]


def _choice(run: Run, value: str) -> Block:
    began = f" · {date(run.start_time, 'time')}" if run.start_time else ""
    unborn = "" if run.run_id else " · not in Sift yet"
    name = foreign(run.name or run.run_id, MAX_PART)
    return section(f"*{name}*{began}{unborn}", button("Show", CHOOSE_RUN, value))


def too_old() -> Message:
    """Said when what a button stood for is kept no longer."""
    what = ":information_source: That list is too old, and nothing was sent to Sift."
    text = f"{what} Type `/sift-retry run` and the run's name again."
    return Message(text, [section(text)])
