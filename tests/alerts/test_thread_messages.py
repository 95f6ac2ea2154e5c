"""What calls people into a failure's thread, word for word, and when nothing does."""

from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.alerts import thread_messages
from bot.alerts.alert import Standing
from bot.retries.state import AlertState
from tests.alerts.test_messages import a_group, a_storm, about, an_alert
from tests.conftest import NOW
from tests.reading import Shown, Words, as_written, read


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Everything that calls people, by name; other people's words as `t` puts them."""
    alert = an_alert(about=about(t), creator_id="UANN", reminded_at=NOW)
    storm = a_storm([a_group({Standing.FAILED: 25}, t)], reminded_at=NOW)
    return {
        "reminder": thread_messages.reminder(alert, "SONCALL"),
        "reminder to nobody": thread_messages.reminder(an_alert(reminded_at=NOW), None),
        "creator": thread_messages.creator(alert),
        "reminder of a storm": thread_messages.storm_reminder(storm, "SONCALL"),
        "all of it": thread_messages.called(alert, "SONCALL"),
        "all of a storm": thread_messages.called_for_storm(storm, None),
    }


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot


@pytest.mark.parametrize("state", [AlertState.RETRYING, AlertState.OUTSIDE, AlertState.CLOSED])
def test_nobody_is_called_once_the_job_moved(state: AlertState) -> None:
    assert thread_messages.called(an_alert(state, creator_id="UANN", reminded_at=NOW), None) == []
    over = a_storm([a_group({Standing.UNDER_WAY: 25})], reminded_at=NOW)
    assert thread_messages.called_for_storm(over, None) == []


def test_nobody_is_called_to_what_is_muted_or_was_never_due() -> None:
    assert thread_messages.called(an_alert(muted_by="UANN", creator_id="UANN", reminded_at=NOW), None) == []
    assert thread_messages.called(an_alert(creator_id=""), None) == []


@pytest.mark.parametrize("care", [{"taken_by": "UANN"}, {"snoozed_until": NOW}])
def test_nobody_is_reminded_of_what_somebody_takes_care_of(care: dict[str, Any]) -> None:
    assert thread_messages.called(an_alert(reminded_at=NOW, **care), None) == []
    assert (
        thread_messages.called_for_storm(a_storm([a_group({Standing.FAILED: 25})], reminded_at=NOW, **care), None) == []
    )
