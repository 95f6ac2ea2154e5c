"""What repeats for as long as the bot works: the loops, each with how often it looks."""

from bot.access.quota import QUOTA_SECONDS, end_minutes
from bot.app.build import OUTBOXES, SWEEP_SECONDS, Features
from bot.app.timekeeper import TIMEKEEPER_SECONDS, Timekeeper
from bot.audit.inspection import Inspection
from bot.base.loops import Loop
from bot.records.anchor import ANCHOR_SECONDS, Anchor
from bot.retries.late_data import LateData

INSPECTION_SECONDS = 3_600.0
"""How often triggers and allow-list are compared with the audit."""

HOME_SECONDS = 3.0
"""How often at most a Home tab is refreshed."""


def loops(features: Features) -> list[Loop]:
    """Returns the loops of one process; each is made once, so that it can be woken and looked at."""
    return [
        *_retrying(features),
        *_watching(features),
        *features.publishing,
        Loop("home", HOME_SECONDS, features.home.refresh),
        *_keeping(features),
    ]


def _retrying(features: Features) -> list[Loop]:
    poll = features.settings.follow_poll_seconds
    late = LateData(features.database, features.sift, features.clock, features.changed)
    return [
        Loop("runner", SWEEP_SECONDS, features.runner.sweep),
        Loop("follower", poll, features.follower.step, "sift"),
        Loop("reruns", poll, features.reruns.step),
        Loop("late", poll, late.step),
    ]


def _watching(features: Features) -> list[Loop]:
    watcher = features.watcher
    finding = [Loop("watcher", features.settings.alert_poll_seconds, watcher.step, "sift")] if watcher else []
    return [*finding, features.explaining]


def _keeping(features: Features) -> list[Loop]:
    """What keeps the house: the audit, its head shown elsewhere, quotas, the clock."""
    database, clock = features.database, features.clock
    kept = [
        Loop("audit", INSPECTION_SECONDS, Inspection(database).step, "audit"),
        Loop("quotas", QUOTA_SECONDS, lambda: database.run(lambda connection: end_minutes(connection, clock()))),
    ]
    if database.is_sqlite:
        timekeeper = Timekeeper(database, clock, features.timer, OUTBOXES, features.changed)
        kept.append(Loop("timekeeper", TIMEKEEPER_SECONDS, timekeeper.step))
    channel_id = features.settings.anchor_channel
    if channel_id is not None:
        anchor = Anchor(database, features.slack, channel_id, clock, features.signer)
        kept.append(Loop("anchor", ANCHOR_SECONDS, anchor.step, f"channel:{channel_id}"))
    return kept
