"""The table of states, and what lies below it and says the same."""

import json

import pytest

from bot.db import tables
from bot.retries.messages.answers import why_not
from bot.retries.request import Retry
from bot.retries.state import ACTIVE, FACTS, FINAL, OFFERING, UNSENT, AlertState, State
from bot.slack.links import Place, Workspace
from tests.conftest import NOW

PLACE = Place(Workspace("T1", "https://x.slack.com/", "UBOT", "BBOT", frozenset()), None)


def test_the_tables_know_the_same_states() -> None:
    assert set(tables.STATES) == set(State) == set(FACTS)
    assert set(tables.ACTIVE) == set(ACTIVE)
    assert set(tables.FINAL) == set(FINAL)
    assert set(tables.OFFERING) == set(OFFERING)
    assert set(tables.ALERT_STATES) == set(AlertState)


@pytest.mark.parametrize("state", State)
def test_what_belongs_to_a_state_fits_together(state: State) -> None:
    facts = FACTS[state]
    assert (state in FINAL) == (not facts.next)
    assert not (facts.active or facts.offering) or state not in UNSENT
    assert facts.active == (facts.alert is AlertState.RETRYING)
    assert state not in facts.next


@pytest.mark.parametrize("why", ["what only a newer bot knows", None])
def test_an_unknown_reason_is_not_taken_for_another(why: str | None) -> None:
    row = {
        "id": "r1",
        "created_at": NOW,
        "shown": "{}",
        "delivery_key": "k1",
        "job_id": "j1",
        "team_id": "T1",
        "user_id": "U1",
        "source": "command",
        "state": "refused",
        "fence": 1,
        "missed": 0,
        "detail": json.dumps({"why": why}),
        "about": None,
        "job_before": None,
        "job_after": None,
    }
    said = why_not(Retry.of(row), PLACE, "Job `j1`")
    assert (said.what, said.done, said.next) == ("Job `j1` was not retried.", "Nothing was sent to Sift.", "")
