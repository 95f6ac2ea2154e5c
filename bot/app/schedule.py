"""What repeats for as long as the bot works: the loops, each with how often it looks; and how all of it ends."""

import asyncio
from collections.abc import Sequence
from functools import partial

from bot.access.quota import end_minutes
from bot.alerts.creators import CREATORS_SECONDS, Creators
from bot.alerts.reminders import REMINDER_SECONDS, Reminders
from bot.alerts.waking import Waking
from bot.app.build import SWEEP_SECONDS, Features
from bot.app.publishers import OUTBOXES
from bot.app.sweep import Sweep
from bot.app.timekeeper import TIMEKEEPER_SECONDS, Timekeeper
from bot.audit.inspection import Inspection
from bot.audit.stream import STREAM_SECONDS
from bot.base.loops import Loop
from bot.db.writing import GIVE_BACK_SECONDS, leave_to_others
from bot.digest.digests import DIGEST_SECONDS
from bot.records.anchor import ANCHOR_SECONDS, Anchor
from bot.retries.late_data import LateData
from bot.retries.overtaken import Overtaken
from bot.slack.channels import CHANNELS_SECONDS

INSPECTION_SECONDS = 3_600.0
"""How often triggers and allow-list are compared with the audit."""

HOME_SECONDS = 3.0
"""How often at most a Home tab is refreshed."""


def loops(features: Features) -> list[Loop]:
    """Returns the loops of one process; each is made once, so that it can be woken and looked at."""
    asked = _asked(features)
    return [
        *asked,
        Loop("sweep", SWEEP_SECONDS, _sweep(features, asked).step),
        features.showing,
        *_following(features),
        *_watching(features),
        Loop("home", HOME_SECONDS, features.home.refresh),
        Loop("channels", CHANNELS_SECONDS, features.channels.step),
        *_keeping(features),
    ]


async def drain(features: Features, seconds: float) -> None:
    """Finishes what is under way, and leaves to others, or for the next start, what takes longer than `seconds`."""
    await features.explainer.stop()
    holding = (features.follower, features.watcher, features.stream)
    leaving = [leave_to_others(part.stop(), GIVE_BACK_SECONDS) for part in holding if part is not None]
    await asyncio.gather(*leaving)
    publishing = [publisher.stop(seconds) for publisher in features.publishers.values()]
    await asyncio.gather(features.runner.stop(seconds), features.answering.drain(seconds), *publishing)


def _asked(features: Features) -> list[Loop]:
    """What looks at rows when there is something to do, as `Sweep` sees; each has its condition there."""
    settings = features.settings
    database, clock = features.database, features.clock
    quotas = partial(database.run, lambda connection: end_minutes(connection, clock()))
    waking = Waking(database, clock, settings.remind_after, features.changed)
    return [
        Loop("runner", SWEEP_SECONDS, features.runner.sweep, asked=True),
        Loop("cooldowns", SWEEP_SECONDS, features.cooldowns.step, asked=True),
        Loop("reruns", settings.follow_poll_seconds, features.reruns.step, asked=True),
        Loop("quotas", SWEEP_SECONDS, quotas, asked=True),
        Loop("waking", SWEEP_SECONDS, waking.step, asked=True),
        features.explaining,
        *features.publishing,
    ]


def _sweep(features: Features, asked: Sequence[Loop]) -> Sweep:
    return Sweep(
        features.database,
        features.clock,
        asked,
        features.outboxes,
        lambda: features.runner.busy,
        features.cooldown,
    )


def _following(features: Features) -> list[Loop]:
    poll = features.settings.follow_poll_seconds
    late = LateData(features.database, features.sift, features.clock, features.changed)
    overtaken = Overtaken(features.database, features.sift, features.clock, features.changed, features.metrics.entered)
    return [
        Loop("follower", poll, features.follower.step, "sift"),
        Loop("late", poll, late.step),
        Loop("overtaken", features.settings.alert_poll_seconds, overtaken.step, "sift"),
    ]


def _watching(features: Features) -> list[Loop]:
    watcher, poll = features.watcher, features.settings.alert_poll_seconds
    finding = [Loop("watcher", poll, watcher.step, "sift")] if watcher else []
    return [*finding, features.asking_sift, *_on_call(features)]


def _on_call(features: Features) -> list[Loop]:
    """What calls people to failures that wait for them."""
    settings, repeated = features.settings, list[Loop]()
    if settings.remind_after is not None:
        reminding = Reminders(
            database=features.database,
            clock=features.clock,
            after=settings.remind_after,
            group=settings.oncall_group,
            changed=features.changed,
        )
        seconds = min(REMINDER_SECONDS, settings.remind_after.total_seconds() / 4)
        repeated.append(Loop("reminders", seconds, reminding.step))
    if settings.notify_creator:
        creators = Creators(features.database, features.subjects, features.people, features.clock, features.changed)
        repeated.append(Loop("creators", CREATORS_SECONDS, creators.step))
    if settings.digest_at:
        repeated.append(Loop("digest", DIGEST_SECONDS, features.digests.step))
    return repeated


def _keeping(features: Features) -> list[Loop]:
    """What keeps the house: the audit, its head shown elsewhere, the clock."""
    database, clock = features.database, features.clock
    kept = [
        Loop("audit", INSPECTION_SECONDS, Inspection(database).step, "audit"),
    ]
    if database.is_sqlite:
        timekeeper = Timekeeper(database, clock, features.timer, OUTBOXES, features.changed, features.prepared)
        kept.append(Loop("timekeeper", TIMEKEEPER_SECONDS, timekeeper.step))
    if features.stream is not None:
        kept.append(Loop("stream", STREAM_SECONDS, features.stream.step, "audit_stream"))
    channel_id = features.settings.anchor_channel
    if channel_id is not None:
        anchor = Anchor(database, features.slack, channel_id, clock, features.signer)
        kept.append(Loop("anchor", ANCHOR_SECONDS, anchor.step, f"channel:{channel_id}"))
    return kept
