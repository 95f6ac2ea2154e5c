"""Reports as frozen values: what a rule evaluation found, and which rules could not be evaluated.

Source: Sift's protobuf messages (`sift.reports.v1`, PyPI sift-stack-py).
"""

from typing import Annotated, Any

from pydantic import model_validator

from bot.sift.value import Flag, Int32, Lenient, Moment, Name, Text, Value, each

BAD = frozenset({"REPORT_RULE_STATUS_FAILED", "REPORT_RULE_STATUS_ERROR"})
MAX_BAD = 500
"""Rules of one report that are read."""


class RuleProblem(Value):
    """Why a rule could not be evaluated."""

    error_message: Text = ""
    exit_code: Int32 = None
    stdout: Text = ""
    stderr: Text = ""


class RuleStatusDetails(Value):
    """At most one of these is set, of those that say more than the status."""

    failed: Annotated[RuleProblem | None, Lenient] = None
    error: Annotated[RuleProblem | None, Lenient] = None


class RuleSummary(Value):
    """How one rule of a report ended."""

    rule_id: Text = ""
    asset_id: Text = ""
    name: Name = ""
    status: Text = ""
    status_details: Annotated[RuleStatusDetails | None, Lenient] = None
    num_open: Int32 = None
    num_failed: Int32 = None
    num_passed: Int32 = None
    display_order: Int32 = None
    explore_full_link: Text = ""

    @property
    def problem(self) -> RuleProblem:
        """Why it could not be evaluated, as far as Sift says."""
        details = self.status_details
        return (details and (details.failed or details.error)) or RuleProblem()


def _bad(value: Any) -> bool:
    """Whether a summary, as it came, is that of a rule which could not be evaluated."""
    if not isinstance(value, dict):
        return False
    status, details = value.get("status"), value.get("statusDetails")
    known_bad = isinstance(status, str) and status in BAD
    return known_bad or (isinstance(details, dict) and not details.keys().isdisjoint(("failed", "error")))


class Report(Value):
    """What a rule evaluation found."""

    report_id: Text = ""
    name: Name = ""
    run_id: Text = ""
    job_id: Text = ""
    is_automated: Flag = False
    rerun_from_report_id: Text = ""
    created_date: Moment = None
    rules_total: Int32 = None
    """How many rules it has; 0 where Sift lists none, as it may where it lists reports."""
    rules_failed: Annotated[tuple[RuleSummary, ...], each(RuleSummary, MAX_BAD)] = ()
    """Those that failed or errored. The others are counted, not kept: a page of reports has tens of thousands."""

    @model_validator(mode="before")
    @classmethod
    def _sorted_out(cls, value: Any) -> Any:
        """Counts the rules, and keeps those that could not be evaluated, in the order they are shown."""
        if not isinstance(value, dict) or "summaries" not in value:
            return value
        listed = value["summaries"] if isinstance(value["summaries"], list) else []
        bad = sorted(filter(_bad, listed), key=_display_order)
        return {**value, "rulesTotal": len(listed), "rulesFailed": bad}


def _display_order(summary: dict[str, Any]) -> int:
    order = summary.get("displayOrder")
    return order if isinstance(order, int) else 0
