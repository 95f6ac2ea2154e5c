"""What people read of failures, word for word."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.alerts import messages, oncall_messages, storm_messages, storm_press
from bot.alerts.alert import Alert, Group, OnCall, Standing, Storm, about_of
from bot.alerts.snooze import BadDay
from bot.retries.record import Record
from bot.retries.state import AlertState, State
from bot.sift.subject import About, FailedRule, Named, Subject, Why
from tests.conftest import NOW
from tests.reading import JOB, OTHER, PLACE, Shown, Words, a_job, as_written, read
from tests.retries.test_messages import a_retry


def an_alert(state: AlertState = AlertState.OPEN, **more: Any) -> Alert:
    """An alert of a data import that failed."""
    job = a_job()
    values: dict[str, Any] = {
        "id": "defghjkmnp",
        "job_id": JOB,
        "failure": job.failure,
        "job_type": "JOB_TYPE_DATA_IMPORT",
        "manner": "alone",
        "state": state,
        "offered": job.failure,
        "job": job,
        "channel_id": "COPS",
        "created_at": NOW,
        "shown": {"announcement": {"ts": "1763640000.000500"}},
    }
    return Alert(**{**values, **more})


def about(t: Words = as_written, cause: str = "column 'tank_pressure_kpa' is not a number in row 4,512") -> About:
    """What an import of the test day is about."""
    window = (datetime(2026, 11, 20, 10, tzinfo=UTC), datetime(2026, 11, 20, 10, 10, tzinfo=UTC))
    run, asset = Named("run-1", t("hotfire-118")), Named("asset-1", t("stand-2"))
    subject = Subject(runs=(run,), assets=(asset,), file=t("telemetry_0412.csv"), window=window)
    return About(subject, Why(message=t(cause)))


def about_rules(t: Words = as_written) -> About:
    """What an evaluation is about of which two rules failed."""
    link = "https://app.siftstack.com/explore?runs=run-1"
    rules = (
        FailedRule(t("chamber_pressure_max"), "rule-1", t("channel not found"), 1, "", t("Traceback\nKeyError"), link),
        FailedRule(t("injector_dp_min"), "rule-2", t("channel not found"), None, t("evaluated 81 %")),
    )
    subject = Subject(runs=(Named("run-1", t("hotfire-118")),), report=Named("report-1", t("Hot-fire limits")))
    why = Why(message=t("channel not found"), rules_total=40, rules_failed=rules, warnings=(t("2 columns left out"),))
    return About(subject, why)


def a_group(standings: dict[Standing, int], t: Words = as_written, **more: Any) -> Group:
    """A group of imports that failed for one reason."""
    values: dict[str, Any] = {
        "id": "0123456789ab",
        "standings": standings,
        "kind": "data_import",
        "cause": t("column … is not a number"),
        "cause_key": "column ‹name› is not a number",
        "topic": t("hotfire-118"),
    }
    return Group(**{**values, **more})


def a_storm(groups: list[Group], members: list[Alert] | None = None, **more: Any) -> Storm:
    """A storm of failed imports and exports."""
    total = sum(group.total for group in groups)
    values: dict[str, Any] = {
        "id": "efghjkmnpq",
        "groups": groups,
        "kinds": {"JOB_TYPE_DATA_IMPORT": total - 1, "JOB_TYPE_DATA_EXPORT": 1},
        "members": members or [an_alert(about=about())],
        "channel_id": "COPS",
        "created_at": NOW,
        "shown": {"announcement": {"ts": "1763640000.000600"}},
    }
    return Storm(**{**values, **more})


def _alerts(t: Words) -> dict[str, Shown]:
    here: dict[str, Any] = {"thread_ts": "1763640000.000500"}
    known: dict[str, Any] = {"about": about(t)}
    finished: dict[str, Any] = {"job": a_job("FINISHED"), **known}
    evaluation: dict[str, Any] = {"job": a_job(kind="RULE_EVALUATION"), "about": about_rules(t)}
    by_another = {**here, "user_id": "UBEN"}
    asked: dict[str, Any] = {"approval_until": NOW + timedelta(minutes=30)}
    taken: dict[str, Any] = {"taken_by": "UANN", "taken_at": NOW}
    snoozed: dict[str, Any] = {"snoozed_by": "UBEN", "snoozed_until": NOW + timedelta(hours=4)}
    alerts = {
        "open": an_alert(**known),
        "open, nothing known": an_alert(),
        "open, of before": an_alert(about=about_of(None, t("Line 7 is no number.")), cause=t("Line 7 is no number.")),
        "open of a newer sort": an_alert(job=a_job(t("FAILED"), t("DATA_SHREDDING"))),
        "open, rules failed": an_alert(**evaluation),
        "open, retrying helps": an_alert(**known, record=Record(41, 43, timedelta(minutes=5.5))),
        "open, retrying is hopeless": an_alert(**known, record=Record(0, 12)),
        "retrying": an_alert(AlertState.RETRYING, **known, retry=a_retry(**here)),
        "retrying elsewhere": an_alert(AlertState.RETRYING, **known, retry=a_retry()),
        "retrying unknown": an_alert(AlertState.RETRYING, **known, retry=a_retry(State.UNKNOWN, **here)),
        "failed again": an_alert(**known, retry=a_retry(State.FAILED_AGAIN, **here, attempt=2)),
        "failed again, cooling": an_alert(
            **known, retry=a_retry(State.FAILED_AGAIN, **here, cools_until=NOW + timedelta(seconds=25))
        ),
        "outside, cooling": an_alert(
            AlertState.OUTSIDE,
            job=a_job("RUNNING"),
            **known,
            retry=a_retry(State.FAILED_AGAIN, **here, cools_until=NOW + timedelta(seconds=25)),
        ),
        "waiting for a second person": an_alert(**known, awaiting=a_retry(State.REQUESTED, **asked, **here)),
        "failed again, waiting elsewhere for a second person": an_alert(
            **known, retry=a_retry(State.FAILED_AGAIN, **here, attempt=2), awaiting=a_retry(State.REQUESTED, **asked)
        ),
        "not applied": an_alert(**known, retry=a_retry(State.NOT_APPLIED, **here)),
        "outside": an_alert(AlertState.OUTSIDE, job=a_job("RUNNING"), **known),
        "closed by the bot": an_alert(AlertState.CLOSED, **finished, retry=a_retry(State.FINISHED, **here)),
        "closed without the bot": an_alert(AlertState.CLOSED, **finished),
        "muted": an_alert(muted_by="UBEN", **known),
        "muted while retrying": an_alert(AlertState.RETRYING, muted_by="UBEN", **known, retry=a_retry(**here)),
        "muted with a reason": an_alert(muted_by="UBEN", mute_reason=t("The stand is being rebuilt."), **known),
        "taken": an_alert(**taken, **known),
        "taken while retrying": an_alert(AlertState.RETRYING, **taken, **known, retry=a_retry(**here)),
        "taken, failed again": an_alert(**taken, **known, retry=a_retry(State.FAILED_AGAIN, **here, attempt=2)),
        "taken, over": an_alert(AlertState.CLOSED, **taken, **finished, retry=a_retry(State.FINISHED, **here)),
        "taken, retried by another": an_alert(AlertState.RETRYING, **taken, **known, retry=a_retry(**by_another)),
        "taken, over by another": an_alert(
            AlertState.CLOSED, **taken, **finished, retry=a_retry(State.FINISHED, **by_another)
        ),
        "released": an_alert(released_by="UBEN", **known),
        "snoozed": an_alert(**snoozed, **known),
        "taken and snoozed": an_alert(**taken, **snoozed, **known),
        "taken and muted": an_alert(**taken, muted_by="UBEN", mute_reason=t("Known."), **known),
        "back from a snooze": an_alert(snoozed_by="UBEN", woken_at=NOW, **known),
        "failed anew": an_alert(**known, retry=a_retry(State.FINISHED, **here)),
        "repeated": an_alert(**known, repeats=[an_alert(id="fghjkmnpqr", **known), an_alert(id="ghjkmnpqrs")]),
    }
    return {name: messages.pieces(alert, PLACE) for name, alert in alerts.items()}


def _storms(t: Words) -> dict[str, Shown]:
    failed, again, queued, awaiting, under_way, outside, through, closed = Standing
    exported = an_alert(job_id=OTHER, job=a_job(kind="DATA_EXPORT", job_id=OTHER), topic=t("hotfire-118"))
    imported = an_alert(about=about(t), topic=t("hotfire-118"), cause_key="column ‹name› is not a number")
    unknown: dict[str, Any] = {"cause": "", "cause_key": "", "topic": "", "kind": "data_export"}
    others = [a_group({failed: 1}, t, id=f"{number:012}", topic=t(f"hotfire-{number}")) for number in range(12)]
    three = [
        a_group({failed: 9}, t, record=Record(0, 12)),
        a_group({failed: 2}, t, topic="", record=Record(3, 4)),
        a_group({failed: 1}, t, **unknown),
    ]
    by: dict[str, Any] = {"retrying": ["UANN"]}
    storms = {
        "storm open": a_storm(three, [imported, exported]),
        "storm of one group": a_storm([a_group({failed: 11}, t, record=Record(0, 12))], [imported]),
        "storm queued": a_storm([a_group({under_way: 14}, t), a_group({queued: 11}, t, topic="")], **by),
        "storm queued in part": a_storm([a_group({queued: 9}, t), a_group({failed: 3}, t, **unknown)], **by),
        "storm waits for a second person": a_storm([a_group({awaiting: 25}, t)], awaiting=["UANN"]),
        "storm waits for a second person in part": a_storm(
            [a_group({awaiting: 9, under_way: 2}, t), a_group({failed: 3}, t, **unknown)], awaiting=["UBEN"], **by
        ),
        "storm mixed": a_storm(
            [
                a_group({failed: 5, under_way: 3, through: 2}, t),
                a_group({again: 4, outside: 1, closed: 2}, t, topic=""),
            ],
            retrying=["UANN", "UBEN"],
            retried=["UANN"],
        ),
        "storm failed again": a_storm([a_group({again: 2, through: 10}, t)], retried=["UANN"]),
        "storm over without the bot": a_storm([a_group({closed: 3}, t)]),
        "storm outside": a_storm([a_group({outside: 2, closed: 1}, t)]),
        "storm through": a_storm([a_group({through: 25}, t)], retried=["UANN"]),
        "storm through by many": a_storm([a_group({through: 25, closed: 3}, t)], retried=["UA", "UB", "UC", "UD"]),
        "storm of many": a_storm([a_group({failed: 1_188}, t), *others], [imported] * 130),
        "storm taken": a_storm(three, [imported], taken_by="UANN", taken_at=NOW),
        "storm snoozed": a_storm(three, [imported], snoozed_by="UBEN", snoozed_until=NOW + timedelta(hours=4)),
        "storm back from a snooze": a_storm(three, [imported], snoozed_by="UBEN", woken_at=NOW, released_by="UANN"),
        "storm taken, over": a_storm([a_group({through: 25}, t)], retried=["UANN"], taken_by="UANN", taken_at=NOW),
        "storm repeated": a_storm([a_group({failed: 2}, t)], [exported], repeats=[an_alert(id="hjkmnpqrst")]),
    }
    selection = storm_messages.selection([imported, imported, exported], 150, {"source": "modal"})
    return {
        **{name: storm_messages.pieces(storm, PLACE) for name, storm in storms.items()},
        "storm selection": selection,
        "storm selection, some under way": storm_messages.selection([imported], 1, {"source": "modal"}, 11),
        "storm selection, all under way": storm_messages.selection([], 0, {"source": "modal"}, 11),
        "storm selection, one under way": storm_messages.selection([], 0, {"source": "modal"}, 1),
        "storm selection, none left": storm_messages.selection([], 0, {"source": "modal"}),
        "storm's button outdated": storm_press.changed_meanwhile(9, 5),
        "storm's button of another group": storm_press.changed_meanwhile(9, 0),
    }


def _on_call(t: Words) -> dict[str, Shown]:
    """The modals, and what is told to who was too late."""
    name, origin = t("hotfire-118 · stand-2 · telemetry_0412.csv"), {"source": "modal", "channel_id": "COPS"}
    has = OnCall(
        taken_by="UANN",
        taken_at=NOW,
        released_by="UBEN",
        snoozed_by="UBEN",
        snoozed_until=NOW + timedelta(hours=4),
        muted_by="UBEN",
    )
    zone = ZoneInfo("America/Los_Angeles")
    return {
        "snooze view": oncall_messages.snooze_view("defghjkmnp", name, NOW, zone, origin),
        "snooze view, wrong date": oncall_messages.at_the_day(BadDay("That is no date: choose one.")),
        "mute view": oncall_messages.mute_view("defghjkmnp", name, origin),
        "mute view, no reason": oncall_messages.reason_missing(),
        "too late: gone": oncall_messages.gone(),
        "too late: not failed": oncall_messages.not_failed(),
        "too late: taken": oncall_messages.taken_already(has),
        "too late: released": oncall_messages.not_taken(has),
        "too late: another's": oncall_messages.taken_by_another(has),
        "too late: snoozed": oncall_messages.snoozed_already(has),
        "too late: not snoozed": oncall_messages.not_snoozed(),
        "too late: muted": oncall_messages.muted_already(has),
        "released from you": oncall_messages.released_from_you("UBEN", name, "https://acme.slack.com/archives/COPS/p1"),
    }


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Everything that is shown of failures, by name; other people's words as `t` puts them."""
    return {**_alerts(t), **_storms(t), **_on_call(t)}


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot
