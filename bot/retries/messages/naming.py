"""What a job is called, why it failed and where to look, as people say it. Pure.

Data import *hotfire-118* · stand-2 · telemetry_0412.csv
column 'tank_pressure_kpa' is not a number
Run · Asset · Explore this window
8:33–8:48 AM, ran 14 min 58 s · retry 2 · reference `4f7k2m9x0q`
"""

from collections.abc import Iterable

from bot.base.clock import say_duration
from bot.base.text import clip
from bot.retries.messages.job import kind_of, ran_for, why_now
from bot.sift import web
from bot.sift.job import Job
from bot.sift.subject import About, FailedRule, Subject
from bot.slack.blocks import context, counted, date, escape, foreign, plain, section
from bot.slack.links import Place
from bot.slack.message import Block

MAX_PART = 60
"""Characters of each part of a name."""

MAX_CAUSE = 300
"""Characters of a cause in a message."""

SHORT_ID = 8
"""So many characters of an ID tell jobs apart where people see them side by side."""

MAX_RULES = 3
"""Failed rules that are shown with what they printed: more are found in Sift."""

MAX_LINKS = 4
"""Rules whose links stand beside one another."""


def title_of(job: Job | None, job_id: str, about: About) -> str:
    """Kind and name, the run in bold: `Data import *hotfire-118* · stand-2 · telemetry_0412.csv`; else the short ID."""
    kind = kind_of(job)
    kind = kind[:1].upper() + kind[1:]
    first, *rest = [foreign(part, MAX_PART) for part in about.subject.title_parts()] or [""]
    if not first:
        return f"{kind} `{escape(job_id[:SHORT_ID])}`"
    return " · ".join([f"{kind} *{first}*", *rest])


def in_sentence(title: str) -> str:
    """A title within a sentence: `data import *hotfire-118* · stand-2 · telemetry_0412.csv`."""
    return title[:1].lower() + title[1:]


def name_of(job_id: str, about: About, most: int = MAX_PART) -> str:
    """The name alone, of foreign words not escaped yet: run and file, or whatever is known, or the short ID."""
    parts = about.subject.title_parts()
    return clip(" · ".join(parts), most) if parts else job_id[:SHORT_ID]


def choice_of(job: Job | None, job_id: str, about: About, most: int) -> str:
    """The name as something to pick, not escaped yet: what differs first, since a phone shows one line of it.

    Returns:
        Such as `telemetry_0412.csv · stand-2 · hotfire-118`, with as many parts as there is room for; what has neither
        file nor report begins with its kind.
    """
    parts = about.subject.title_parts()
    if not parts:
        return f"{kind_of(job)} {job_id[:SHORT_ID]}"
    kind = "" if about.subject.file or about.subject.report else f"{kind_of(job)} "
    told = [kind + " · ".join(parts[first:][::-1]) for first in range(len(parts))]
    return clip(next((name for name in told if len(name) <= most), told[-1]), most)


def cause_of(job: Job | None, about: About, most: int = MAX_CAUSE) -> str:
    """Why it failed, in one line of foreign words, not escaped yet; empty where nobody says."""
    return clip(about.why.headline or why_now(job) or "", most)


def notification(job: Job | None, job_id: str, about: About, how: str = "failed") -> str:
    """What a phone shows: `Data import failed: hotfire-118 – column 'tank_pressure_kpa' is not a number`."""
    kind = kind_of(job)
    parts = about.subject.title_parts()
    name = foreign(parts[0], MAX_PART) if parts else escape(job_id[:SHORT_ID])
    cause = cause_of(job, about)
    return f"{kind[:1].upper()}{kind[1:]} {how}: {name}" + (f" – {foreign(cause, 150)}" if cause else "")


def why_block(job: Job | None, about: About) -> list[Block]:
    """The cause as it is, in a section of its own; nothing where nobody says."""
    cause = cause_of(job, about)
    return [plain(cause, MAX_CAUSE)] if cause else []


def details(about: About, place: Place) -> list[Block]:
    """What is folded away: each failed rule with what it printed, an import's warnings; empty where there is none."""
    why = about.why
    blocks: list[Block] = []
    for rule in why.rules_failed[:MAX_RULES]:
        blocks += _rule(rule, place)
    more = why.more_failed + len(why.rules_failed[MAX_RULES:])
    if more:
        blocks.append(section(f"… and {counted(more, 'more rule')} failed."))
    if why.warnings:
        lines = "\n".join(clip(warning, 200) for warning in why.warnings)
        blocks += [section("*Warnings*"), plain(lines, 2_000)]
    return blocks


def _rule(rule: FailedRule, place: Place) -> list[Block]:
    name = foreign(rule.name or rule.rule_id[:SHORT_ID] or "rule", MAX_PART)
    app = place.sift_app_url
    links = [_link(web.rule_url(app, rule.rule_id), "rule") if app and rule.rule_id else ""]
    explore = web.ready_made(app, rule.explore_link) if rule.explore_link else None
    links.append(_link(explore, "explore") if explore else "")
    exited = f" (exit {rule.exit_code})" if rule.exit_code is not None else ""
    line = " · ".join(part for part in (f"*{name}*{exited}", *links) if part)
    printed = "\n".join(part for part in (rule.message, rule.stderr or rule.stdout) if part)
    return [section(line), *([plain(printed, 1_500)] if printed else [])]


def links_of(about: About, place: Place) -> str:
    """`Run · Asset · Report · Explore this window`, as far as they are known; empty where none is."""
    app, subject = place.sift_app_url, about.subject
    if app is None:
        return ""
    found = [
        *(_link(web.run_url(app, run.id), "Run") for run in subject.runs[:1] if run.id),
        *(_link(web.asset_url(app, asset.id), "Asset") for asset in subject.assets[:1] if asset.id),
        *([_link(web.report_url(app, subject.report.id), "Report")] if subject.report and subject.report.id else []),
        *([_link(_explore(app, subject), "Explore this window")] if _explorable(subject) else []),
    ]
    return " · ".join(found)


def _explorable(subject: Subject) -> bool:
    return subject.window is not None and any(one.id for one in (*subject.runs, *subject.assets))


def _explore(app: str, subject: Subject) -> str:
    run_ids = [run.id for run in subject.runs if run.id][:MAX_LINKS]
    asset_ids = [asset.id for asset in subject.assets if asset.id][:MAX_LINKS]
    return web.explore_url(app, run_ids, asset_ids, subject.window)


def _link(url: str, text: str) -> str:
    return f"<{url}|{text}>"


def grey(job: Job | None, job_id: str, reference: str, more: Iterable[str] = ()) -> list[Block]:
    """The last, small lines: when it ran and for how long, whatever else there is, the reference; and the full job ID.

    Args:
        reference: empty where there is nothing to refer to.
        more: such as `retry 2`, escaped already.
    """
    parts = [part for part in (ran(job), *more, f"reference `{reference}`" if reference else "") if part]
    return [*([context(" · ".join(parts))] if parts else []), context(f"`{escape(job_id)}`")]


def ran(job: Job | None) -> str:
    """When a job ran, and for how long, in each reader's own time zone; empty where it has not begun."""
    if job is None or job.started_date is None:
        return ""
    took = ran_for(job)
    if took is None or job.completed_date is None:
        return f"since {date(job.started_date, 'time')}"
    return f"{date(job.started_date, 'time')} – {_time(job)}, ran {say_duration(took)}"


def _time(job: Job) -> str:
    """When it ended; the day only where it is another one."""
    started, ended = job.started_date, job.completed_date
    if started is None or ended is None:
        return ""
    if started.date() != ended.date():
        return date(ended, "time")
    return f"<!date^{int(ended.timestamp())}^{{time}}|{ended.strftime('%H:%M UTC')}>"
