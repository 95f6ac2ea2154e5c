"""Who does something, and from where, as records say it."""

import pytest

from bot.audit.entry import DENIED, Event, denied
from bot.base.requester import Actor, Requester, Source
from bot.retries.request import JobRef, Request

ADA = Requester(
    delivery_key="command:1.2.3",
    source=Source.COMMAND,
    user_id="U0ADA",
    team_id="T0OURS",
    user_name="ada",
    channel_id="C0LAUNCH",
    asked_in="1.0",
    response_url="https://hooks.slack.com/1",
)


def test_what_is_written_stays_what_it_was() -> None:
    """Records that exist say these words."""
    assert list(Source) == ["command", "mention", "shortcut", "modal", "alert", "bulk", "home", "cli"]
    asked = "request rerun cancel approval_asked approval decline break_glass grant revoke look audit_read"
    events = f"{asked} alert outside mute unmute take release snooze remind anchor archive recover"
    assert list(Event) == events.split()


@pytest.mark.parametrize("somebody", [ADA, Request.by(ADA, JobRef("j"), "because")])
def test_an_entry_says_who_it_was_and_nothing_of_the_ways_back(somebody: Actor) -> None:
    assert somebody.columns == {
        "user_id": "U0ADA",
        "team_id": "T0OURS",
        "source": "command",
        "user_name": "ada",
        "channel_id": "C0LAUNCH",
    }
    entry = denied(Event.MUTE, somebody, {"why": "not_listed"})
    assert (entry.user_id, entry.source, entry.outcome, entry.reason) == ("U0ADA", Source.COMMAND, DENIED, None)


def test_a_request_is_its_requester_and_what_they_want() -> None:
    request = Request.by(ADA, JobRef("j", "2026-11-24"), "because")
    assert {name: getattr(request, name) for name in vars(ADA)} == vars(ADA)
    assert (request.job_id, request.offered, request.reason, request.batch_id) == ("j", "2026-11-24", "because", None)
    assert request.id != Request.by(ADA, JobRef("j"), None).id
