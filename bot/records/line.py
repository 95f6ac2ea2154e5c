"""A line of the audit as people read it: one request with what came of it, or anything else that is on record. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from bot.retries.kind import EVENTS
from bot.retries.request import Retry
from bot.sift.subject import About

_REQUESTS = frozenset(EVENTS.values())


@dataclass(frozen=True, kw_only=True)
class Line:
    """An entry of the audit, with what is known of its request and its job by now.

    Args:
        detail: further facts; what they are depends on the event.
        retry: the request that the entry is about, as it is now; None where it is about none.
        about: what the job is about.
    """

    id: int
    at: datetime
    event: str
    outcome: str | None = None
    request_id: str | None = None
    job_id: str | None = None
    status_before: str | None = None
    status_after: str | None = None
    user_id: str | None = None
    channel_id: str | None = None
    source: str | None = None
    reason: str | None = None
    grant_id: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry | None = None
    about: About = field(default_factory=About)

    @property
    def tells_of_request(self) -> bool:
        """Whether it tells how a request came to stand, and not of what others did about it."""
        return self.event in _REQUESTS

    @classmethod
    def of(cls, row: Mapping[Any, Any], retry: Retry | None = None, about: About | None = None) -> Self:
        """Returns a row of the audit as a line."""
        values = {one.name: row[one.name] for one in fields(cls) if one.name in row}
        detail = json.loads(row["detail"])
        values["detail"] = detail if isinstance(detail, dict) else {}
        return cls(**values, retry=retry, about=about or About())
