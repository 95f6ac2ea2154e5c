"""Why somebody was refused, or why something came to stand as it does, in a few words about them. Pure."""

from collections.abc import Mapping
from typing import Any

from bot.slack.blocks import counted, escape, foreign, mention

WHY = {
    # why somebody may not: `access.policy.Reason`
    "not_listed": "not on the allow-list",
    "expired": "their grant had expired",
    "other_role": "their role does not allow it",
    "other_channel": "their grant is for other channels",
    "other_job_type": "their grant is for other types of job",
    "longer": "their own grant ends before that",
    "groups_unknown": "Slack could not say which user groups they are in",
    "unknown_person": "Slack could not say who they are",
    "other_workspace": "from another workspace",
    "deactivated": "the account is deactivated",
    "is_bot": "bots may not",
    "is_guest": "guests may not",
    "slack_silent": "Slack could not say in time who they are",
    "unknown_group": "Slack could not say who is in that user group",
    "more_than_held": "more than they hold themselves",
    "last_admin": "nobody who can grant access would be left",
    # the second person: `retries.state.ApprovalReason`
    "approval_needed": "a second person has to approve it",
    "approval_expired": "nobody else approved it in time",
    "self_approval": "nobody approves what they asked for themselves",
    "approval_declined": "declined",
    # why there was nothing to do: `retries.state.RefusalReason`
    "unknown_job": "Sift knows no such job",
    "not_retryable": "the job had not failed",
    "outdated": "the button was outdated: the job had moved on",
    "under_way": "already under way",
    "too_late": "somebody else was faster, or it was over",
    "just_retried": "retried by somebody else a moment before",
    "cooldown": "retried a moment before",
    "awaited": "another request of it was waiting for a second person",
    "moved_on": "the job moved on while it waited for a second person",
    "queued": "another retry of it was waiting already",
    "withdrawn": "taken back before it was sent",
    "stale": "nobody carried it out in time",
    "ended": "the job had ended",
    "being_cancelled": "the job was being cancelled already",
    "rerun_off": "rerunning reports is switched off",
    # what told the outcome: `retries.state.OutcomeReason`
    "interrupted": "the bot stopped while it was sending",
    "unchanged_answer": "Sift's answer left it open",
    "restored": "the bot was restored from a backup",
    "read_back": "seen by reading the job",
    "unchanged": "the job did not move",
    "outside": "somebody else moved the job",
    "gone": "Sift no longer lists the job",
    "not_yet": "no call to Sift was free in time",
    "too_long": "it ran for too long to be followed",
    # Sift's errors: `sift.errors`
    "unauthenticated": "Sift did not accept the bot's key",
    "permission_denied": "the bot's Sift user lacks the permission",
    "rate_limited": "Sift asked to wait",
}
"""By what the `why` of a detail says."""

_FINE = frozenset({"granted", "admins_setting"})
"""What the detail of something that was allowed says."""


_BY_SOMEBODY = frozenset({"under_way", "approval_declined"})
"""What is told with who it was."""


def why_of(detail: Mapping[str, Any]) -> str:
    """Returns why, from the detail of an entry or of a request; empty where it does not say."""
    why = str(detail.get("why") or "")
    if why == "too_many":
        return _too_many(detail)
    if not why or why in _FINE:
        return ""
    words = WHY.get(why) or foreign(why.replace("_", " "))
    by = str(detail.get("by") or "")
    return f"{words}, by {mention(escape(by))}" if why in _BY_SOMEBODY and by[:1] in ("U", "W") else words


def _too_many(detail: Mapping[str, Any]) -> str:
    more = detail.get("more")
    if isinstance(more, int):
        return f"too much within a minute, {counted(more, 'more time')}"
    most = detail.get("per_minute")
    return f"more than {counted(most, 'request')} within a minute" if isinstance(most, int) else "too much at once"
