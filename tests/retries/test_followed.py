"""What a process remembers of the rows that it follows."""

from datetime import timedelta

from bot.retries.followed import Followed
from bot.retries.state import State
from tests.conftest import NOW
from tests.retries.test_outcome import job, retry

GRACE = timedelta(seconds=15)


def test_what_a_job_showed_while_each_read_counted_counts_once_more_afterwards() -> None:
    """A retry that had failed again when its unknown outcome was settled was followed for seven days."""
    rows, failed = Followed(GRACE), {"j": job("FAILED", minutes=1)}
    rows.put([retry(State.ACCEPTED, accepted_at=NOW, due_at=NOW + timedelta(hours=1))])
    (held,) = rows
    rows.looked_at(["r"], failed, NOW)
    assert held.counts(failed, NOW + GRACE / 2)
    assert held.counts(failed, NOW + GRACE)
    rows.looked_at(["r"], failed, NOW + GRACE)
    assert not held.counts(failed, NOW + GRACE * 2)
    assert held.counts({"j": job("RUNNING", minutes=2)}, NOW + GRACE * 2)
