"""What people read of failures, word for word."""

from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.alerts import messages
from bot.alerts.alert import Alert, Storm
from bot.retries.state import AlertState, State
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


def a_storm(states: dict[AlertState, int], members: list[Alert] | None = None, **more: Any) -> Storm:
    """A storm of failed imports and exports."""
    total = sum(states.values())
    values: dict[str, Any] = {
        "id": "efghjkmnpq",
        "states": {state.value: count for state, count in states.items()},
        "kinds": {"JOB_TYPE_DATA_IMPORT": total - 1, "JOB_TYPE_DATA_EXPORT": 1},
        "causes": {},
        "members": members or [an_alert(state) for state, count in states.items() for _ in range(count)],
        "channel_id": "COPS",
        "created_at": NOW,
        "shown": {"announcement": {"ts": "1763640000.000600"}},
    }
    return Storm(**{**values, **more})


def _alerts(t: Words) -> dict[str, Shown]:
    here: dict[str, Any] = {"thread_ts": "1763640000.000500"}
    cause: dict[str, Any] = {"cause": t("Line 7 is no number.")}
    finished: dict[str, Any] = {"job": a_job("FINISHED")}
    alerts = {
        "open": an_alert(**cause),
        "open without a cause": an_alert(),
        "open of a newer sort": an_alert(job=a_job(t("FAILED"), t("DATA_SHREDDING"))),
        "retrying": an_alert(AlertState.RETRYING, retry=a_retry(**here)),
        "retrying elsewhere": an_alert(AlertState.RETRYING, retry=a_retry()),
        "retrying unknown": an_alert(AlertState.RETRYING, retry=a_retry(State.UNKNOWN, **here)),
        "failed again": an_alert(**cause, retry=a_retry(State.FAILED_AGAIN, **here, attempt=2)),
        "not applied": an_alert(retry=a_retry(State.NOT_APPLIED, **here)),
        "outside": an_alert(AlertState.OUTSIDE, job=a_job("RUNNING")),
        "closed by the bot": an_alert(AlertState.CLOSED, **finished, retry=a_retry(State.FINISHED, **here)),
        "closed without the bot": an_alert(AlertState.CLOSED, **finished),
        "muted": an_alert(muted_by="UBEN"),
        "muted while retrying": an_alert(AlertState.RETRYING, muted_by="UBEN", retry=a_retry(**here)),
        "repeated": an_alert(repeats=[an_alert(id="fghjkmnpqr", **cause), an_alert(id="ghjkmnpqrs")]),
    }
    return {name: messages.pieces(alert, PLACE) for name, alert in alerts.items()}


def _storms(t: Words) -> dict[str, Shown]:
    causes = {t("Line 7 is no number."): 9, t("no data in the range"): 2}
    open_, retrying, outside, closed = AlertState
    exported = an_alert(job_id=OTHER, job=a_job(kind="DATA_EXPORT", job_id=OTHER), cause=t("no data in the range"))
    storms = {
        "storm open": a_storm({open_: 12}, [an_alert(cause=t("Line 7 is no number.")), exported], causes=causes),
        "storm open, all causes known": a_storm({open_: 11}, [exported], causes=causes),
        "storm mixed": a_storm({open_: 5, retrying: 3, outside: 1, closed: 2}),
        "storm retrying": a_storm({retrying: 3}),
        "storm over without the bot": a_storm({outside: 2, closed: 1}),
        "storm closed": a_storm({closed: 3}),
        "storm of many": a_storm({open_: 1_200}, [exported] * 130),
        "storm repeated": a_storm({open_: 2}, [exported], repeats=[an_alert(id="hjkmnpqrst")]),
    }
    return {name: messages.storm_pieces(storm, PLACE) for name, storm in storms.items()}


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Everything that is shown of failures, by name; other people's words as `t` puts them."""
    return {**_alerts(t), **_storms(t)}


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot
