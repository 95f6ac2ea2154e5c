"""What jobs are about, put together of what Sift knows. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote

from bot.sift.data_import import DataImport
from bot.sift.job import Job
from bot.sift.report import Report, RuleSummary
from bot.sift.resources import Asset, Rule, Run
from bot.sift.subject import About, FailedRule, Named, Subject, Why
from bot.sift.value import clean_text

FEW_ASSETS = 3
"""A run of more assets than this does not tell which of them a job is about."""

MAX_SHOWN = 10
"""Failed rules of one report whose names are worth a request."""


@dataclass(frozen=True)
class Known:
    """What Sift is known to call things, by their IDs."""

    runs: Mapping[str, Run] = field(default_factory=dict)
    assets: Mapping[str, Asset] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)


def of_job(job: Job, known: Known) -> About:
    """What a job says itself: an export its request, and why it failed; the others nothing."""
    details, status = job.job_details, job.job_status_details
    request = details.data_export.request if details and details.data_export else None
    error = status.data_export.error_message if status and status.data_export else ""
    if request is None:
        return About(why=Why(message=error)).fitted() if error else About()
    chosen = request.runs_and_time_range or request.assets_and_time_range or request.time_range
    subject = Subject(
        runs=_runs(job.run_ids, known),
        assets=_assets(job.asset_ids or _of_the_run(job.run_ids, known), known),
        window=_window(chosen.start_time, chosen.stop_time) if chosen else None,
        output_format=request.output_format,
    )
    return About(subject, Why(message=error)).fitted()


def of_import(data_import: DataImport, known: Known) -> About:
    """What an import is about: its file, run and asset; and why it failed."""
    run_ids = [data_import.run_id] if data_import.run_id else []
    asset_ids = [data_import.asset_id] if data_import.asset_id else _of_the_run(run_ids, known)
    subject = Subject(
        runs=_runs(run_ids, known),
        assets=_assets(asset_ids, known),
        file=file_of(data_import.source_url),
        report=Named(data_import.report_id) if data_import.report_id else None,
        uploader_run=data_import.uploader_run,
        uploader_asset=data_import.uploader_asset,
        window=_window(data_import.data_start_time, data_import.data_stop_time),
    )
    return About(subject, Why(message=data_import.error_message, warnings=data_import.warning_messages)).fitted()


def of_report(report: Report, known: Known) -> About:
    """What a rule evaluation is about: its report and run; and which rules could not be evaluated."""
    run_ids = [report.run_id] if report.run_id else []
    run = known.runs.get(report.run_id)
    concerned = dict.fromkeys(summary.asset_id for summary in report.rules_failed if summary.asset_id)
    failed = tuple(_failed(summary, known) for summary in report.rules_failed)
    subject = Subject(
        runs=_runs(run_ids, known),
        assets=_assets(list(concerned) or _of_the_run(run_ids, known), known),
        report=Named(report.report_id, report.name),
        window=_window(run.start_time, run.stop_time) if run else None,
    )
    why = Why(
        message=next((rule.message for rule in failed if rule.message), ""),
        rules_total=report.rules_total or 0,
        rules_failed=failed,
    )
    return About(subject, why).fitted()


def rules_of(report: Report) -> list[str]:
    """The rules of a report whose names are shown."""
    return [summary.rule_id for summary in report.rules_failed[:MAX_SHOWN] if summary.rule_id and not summary.name]


def assets_of(runs: Iterable[Run]) -> list[str]:
    """The assets of runs that have so few that they tell what a job is about."""
    return [asset_id for run in runs if len(run.asset_ids) <= FEW_ASSETS for asset_id in run.asset_ids]


def file_of(source_url: str) -> str:
    """The last part of where data came from, as people read it; without what may be a signature."""
    path = re.split(r"[?#]", source_url, maxsplit=1)[0].rstrip("/\\")
    return clean_text(unquote(re.split(r"[/\\]", path)[-1]))


def _failed(summary: RuleSummary, known: Known) -> FailedRule:
    problem, rule = summary.problem, known.rules.get(summary.rule_id)
    return FailedRule(
        name=summary.name or (rule.name if rule else ""),
        rule_id=summary.rule_id,
        message=problem.error_message,
        exit_code=problem.exit_code,
        stdout=problem.stdout,
        stderr=problem.stderr,
        explore_link=_link(summary.explore_full_link),
    )


def _link(text: str) -> str:
    """A link, or nothing for what is none: it leads to wherever Sift says, but it is one."""
    return text if re.fullmatch(r"https?://[^\s<>|\"]+", text) else ""


def _runs(identifiers: Iterable[str], known: Known) -> tuple[Named, ...]:
    return tuple(Named(one, run.name if (run := known.runs.get(one)) else "") for one in identifiers)


def _assets(identifiers: Iterable[str], known: Known) -> tuple[Named, ...]:
    return tuple(Named(one, asset.name if (asset := known.assets.get(one)) else "") for one in identifiers)


def _of_the_run(run_ids: Iterable[str], known: Known) -> list[str]:
    return list(dict.fromkeys(assets_of(run for one in run_ids if (run := known.runs.get(one)))))


def _window(start: datetime | None, stop: datetime | None) -> tuple[datetime, datetime] | None:
    return (start, stop) if start and stop else None
