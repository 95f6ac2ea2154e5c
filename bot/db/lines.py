"""Which entries of the audit people read, as the conditions of its indexes, and of the queries that go by them.

A query goes by a partial index only where it has the index's condition word for word.
"""

LINES = (
    "event NOT IN ('alert', 'approval_asked', 'audit_read', 'remind') AND "
    "(event NOT IN ('request', 'rerun', 'cancel') OR request_id IS NULL "
    "OR (outcome = 'requested' AND status_before IS NULL))"
)
"""What somebody did: of a request the first entry alone, which is made before its job is read; what reads, and what
the bot found or asked for by itself, is left out."""

ENDED = "outcome IN ('denied', 'refused', 'not_applied', 'failed', 'finished', 'failed_again', 'cancelled', 'lost')"
"""What came of something."""
