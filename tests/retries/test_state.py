"""The table of states, and what lies below it and says the same."""

import pytest

from bot.db import tables
from bot.retries.state import ACTIVE, FACTS, FINAL, OFFERING, UNSENT, AlertState, State


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
