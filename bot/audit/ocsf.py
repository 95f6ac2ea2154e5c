"""An entry as a SIEM reads it: an event of the Open Cybersecurity Schema Framework, version 1.3. Pure.

Grants and revocations are User Access Management (3005), everything else is API Activity (6003); see
https://schema.ocsf.io/1.3.0. What the schema has no place for stands in `unmapped`, so that the chain can be checked
from the stream alone.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.audit.entry import Event

VERSION = "1.3.0"
API_ACTIVITY, ACCESS = 6003, 3005

_CREATE, _READ, _UPDATE, _OTHER = 1, 2, 3, 99
_ASSIGN, _REVOKE = 1, 2
_READING = (Event.AUDIT_READ, Event.LOOK)
_WRITING = (Event.REQUEST, Event.RERUN, Event.CANCEL)

_FAILURES = ("denied", "refused", "failed", "not_applied", "failed_again", "lost")
_OPEN = ("requested", "sending", "unknown", "accepted")


def event_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an entry as an OCSF event.

    Args:
        row: the columns of the entry: `at` a datetime, `detail` canonical JSON.
    """
    class_uid, activity_id = _class_of(row["event"])
    status_id, severity_id = _status_of(row["outcome"])
    return {
        "metadata": {
            "version": VERSION,
            "product": {"name": "sift-retry-bot", "vendor_name": "sift-retry-bot"},
            "log_name": "audit",
            "sequence": row["id"],
            "uid": row["hash"],
        },
        "time": _milliseconds(row["at"]),
        "category_uid": class_uid // 1_000,
        "class_uid": class_uid,
        "activity_id": activity_id,
        "type_uid": class_uid * 100 + activity_id,
        "severity_id": severity_id,
        "status_id": status_id,
        "status": row["outcome"] or "done",
        "message": " ".join(filter(None, [row["event"], row["outcome"]])),
        "actor": {"user": _without_none(uid=row["user_id"], name=row["user_name"], domain=row["team_id"])},
        "src_endpoint": _without_none(name=row["source"], uid=row["channel_id"]),
        **_about(class_uid, row),
        "unmapped": {**row, "at": row["at"].isoformat(), "detail": json.loads(row["detail"])},
    }


def _class_of(event: str) -> tuple[int, int]:
    if event == Event.GRANT:
        return ACCESS, _ASSIGN
    if event == Event.REVOKE:
        return ACCESS, _REVOKE
    return API_ACTIVITY, _READ if event in _READING else _CREATE if event in _WRITING else _OTHER


def _status_of(outcome: str | None) -> tuple[int, int]:
    """OCSF's status (0 unknown, 1 success, 2 failure) and severity (1 informational, 2 low, 3 medium)."""
    if outcome == "denied":
        return 2, 3
    if outcome in _FAILURES:
        return 2, 2
    return (0 if outcome in _OPEN else 1), 1


def _about(class_uid: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the event is about, by the fields that its class requires."""
    resources = [{"uid": row["job_id"], "type": "job"}] if row["job_id"] else []
    if class_uid == ACCESS:
        detail = json.loads(row["detail"])
        return {
            "user": _without_none(uid=str(detail.get("subject") or "unknown")),
            "privileges": [str(detail.get("role") or "unknown")],
        }
    api = {"operation": row["event"], "service": {"name": "Sift"}, "request": {"uid": row["request_id"] or row["hash"]}}
    return {"api": api, "resources": resources}


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000)


def _without_none(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
