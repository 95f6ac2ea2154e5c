"""The bot's parts, put together: what shows rows, the use cases, and the loops that drive both."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot.access.authorizer import Access, Authorizer
from bot.access.changes import Granting
from bot.access.quota import Quota, end_minutes
from bot.alerts import messages as shown_alerts
from bot.alerts import store as alerts_store
from bot.alerts.mute import Muting
from bot.alerts.watcher import Watcher
from bot.app.help import help_text
from bot.app.listeners import UseCases
from bot.app.timekeeper import Timekeeper
from bot.audit.inspection import Inspection
from bot.audit.signing import Signer
from bot.base.clock import Clock
from bot.base.errors import DatabaseUnavailable
from bot.base.loops import Loop, Soon
from bot.base.metrics import Metrics
from bot.db.database import Database
from bot.home.lookup import Lookup
from bot.home.tab import Home
from bot.records.anchor import Anchor
from bot.records.counts import Counts
from bot.records.history import History
from bot.retries import batches, store
from bot.retries.approvals import Approvals
from bot.retries.decider import Decider
from bot.retries.follower import Follower
from bot.retries.intake import Intake
from bot.retries.limiter import Limiter
from bot.retries.messages import batch as shown_batches
from bot.retries.messages import retry as shown_retries
from bot.retries.request import Retry
from bot.retries.rules import Limits
from bot.retries.runner import Runner
from bot.settings import Settings
from bot.sift.client import Sift, web_app_for
from bot.slack.client import Slack
from bot.slack.links import Place, Workspace
from bot.slack.outbox import Outbox
from bot.slack.people import People
from bot.slack.piece import Piece
from bot.slack.publisher import Publisher
from bot.slack.replies import Replies

SWEEP_SECONDS = 2.0
"""How often the rows are looked through for what was left behind."""

GATHER_SECONDS = 0.1
"""For so long changes are gathered before what shows them is looked at again."""

ANCHOR_SECONDS = 60.0
"""How often it is looked at whether a new day has begun."""

INSPECTION_SECONDS = 3_600.0
"""How often triggers and allow-list are compared with the audit."""

TIMEKEEPER_SECONDS = 5.0
"""How often it is looked at whether the clock was set back."""

QUOTA_SECONDS = 5.0
"""How often it is looked at whose minute is over."""

HOME_SECONDS = 3.0
"""How often at most a Home tab is refreshed."""

PAUSE = timedelta(seconds=2)
"""How often at most a message that counts is updated: `chat.update` allows about 50 calls a minute."""

OUTBOXES: Sequence[Outbox[Any]] = (store.outbox, batches.outbox, alerts_store.outbox, alerts_store.storm_outbox)


@dataclass(frozen=True)
class Parts:
    """What one process works with.

    Args:
        degraded: what does not work as it should though requests can be taken, and why, by name.
        begin: what is to be written before the first request is taken.
    """

    use: UseCases
    runner: Runner
    publishers: Sequence[Publisher[Any]]
    loops: Sequence[Loop]
    degraded: Callable[[], Mapping[str, str]]
    begin: Callable[[Connection], None]


@dataclass(frozen=True)
class World:
    """What the parts are made from."""

    settings: Settings
    clock: Clock
    database: Database
    metrics: Metrics
    limiter: Limiter
    signer: Signer
    slack: Slack
    people: People
    sift: Sift
    workspace: Workspace


def put_together(world: World) -> Parts:
    """Makes every part, from what they have in common."""
    settings, database, clock = world.settings, world.database, world.clock
    place = Place(world.workspace, settings.sift_app_url or web_app_for(settings.sift_rest_uri))
    access = Access(database, world.people.members, settings.admins)
    quota = Quota(settings.requests_per_minute)
    authorizer = Authorizer(database, world.slack, world.people, access, world.workspace.team_id, clock, quota)
    counts = Counts(database, time.monotonic)
    home = Home(authorizer, counts, help_text(), time.monotonic)
    publishers = _publishers(world, place)
    showing = [Loop(name, SWEEP_SECONDS, publisher.sweep) for name, publisher in publishers.items()]

    changed = Soon(GATHER_SECONDS, [*(loop.wake for loop in showing), home.changed])
    runner = _runner(world, access, publishers["retries"], changed)
    follower = _follower(world, runner, changed)
    watcher = _watcher(world, changed)
    watching = Loop("watcher", settings.alert_poll_seconds, watcher.step) if settings.watches else None
    replies = Replies(world.slack, runner.tasks)
    use = UseCases(
        database=database,
        slack=world.slack,
        people=world.people,
        replies=replies,
        intake=Intake(database, runner, replies, quota, world.metrics, clock),
        approvals=Approvals(authorizer, runner.start, changed),
        muting=Muting(authorizer, changed),
        granting=Granting(authorizer, changed),
        lookup=Lookup(authorizer, world.sift, place),
        home=home,
        history=History(authorizer, counts, world.workspace, world.signer),
        metrics=world.metrics,
        clock=clock,
    )
    inspecting = Loop("audit", INSPECTION_SECONDS, Inspection(database).step)
    following = Loop("follower", settings.follow_poll_seconds, follower.step)
    loops = [
        Loop("runner", SWEEP_SECONDS, runner.sweep),
        following,
        *showing,
        Loop("home", HOME_SECONDS, home.refresh),
        inspecting,
        Loop("quotas", QUOTA_SECONDS, lambda: database.run(lambda connection: end_minutes(connection, clock()))),
        *([watching] if watching else []),
    ]
    if database.is_sqlite:
        timekeeper = Timekeeper(database, clock, time.monotonic, OUTBOXES, changed)
        loops.append(Loop("timekeeper", TIMEKEEPER_SECONDS, timekeeper.step))
    health = [("sift", watching), ("sift", following), ("audit", inspecting)]
    if settings.anchor_channel is not None:
        anchor = Anchor(database, world.slack, settings.anchor_channel, clock, world.signer)
        loops.append(Loop("anchor", ANCHOR_SECONDS, anchor.step))
        health.append((f"channel:{settings.anchor_channel}", loops[-1]))
    watched = watcher if watching else None
    degraded = partial(
        _degraded, health, publishers.values(), lambda: watched is not None and watched.degraded(clock())
    )
    begin = watcher.begin if watching else lambda _: None
    return Parts(use, runner, list(publishers.values()), loops, degraded, begin)


def _degraded(
    health: Iterable[tuple[str, Loop | None]], publishers: Iterable[Publisher[Any]], blind: Callable[[], bool]
) -> dict[str, str]:
    """What does not work as it should, and why: what a loop is there for, a channel of ours that takes no posts.

    Args:
        blind: whether Sift was not read for new failures for too long.
    """
    found = {"sift": "the last good poll was too long ago"} if blind() else {}
    for name, loop in health:
        # A database that is away is named as such; nothing is wrong with Sift then, or with a channel.
        if loop is not None and loop.failing is not None and not isinstance(loop.cause, DatabaseUnavailable):
            found[name] = loop.failing
    for publisher in publishers:
        found |= {f"channel:{channel_id}": error for channel_id, error in publisher.unpostable.items()}
    return found


def _publishers(world: World, place: Place) -> dict[str, Publisher[Any]]:
    def publisher(outbox: Outbox[Any], pieces: Callable[..., list[Piece]], pause: timedelta = PAUSE) -> Publisher[Any]:
        return Publisher(world.database, world.slack, outbox, partial(pieces, place=place), world.clock, pause)

    return {
        "retries": publisher(store.outbox, shown_retries.pieces, timedelta(0)),
        "batches": publisher(batches.outbox, shown_batches.pieces),
        "alerts": publisher(alerts_store.outbox, shown_alerts.pieces, timedelta(0)),
        "storms": publisher(alerts_store.storm_outbox, shown_alerts.storm_pieces),
    }


def _runner(world: World, access: Access, publisher: Publisher[Retry], changed: Callable[[], None]) -> Runner:
    return Runner(
        database=world.database,
        sift=world.sift,
        slack=world.slack,
        publisher=publisher,
        decider=Decider(world.people, access, world.workspace.team_id, world.clock),
        limiter=world.limiter,
        limits=Limits(
            cooldown=timedelta(seconds=world.settings.retry_cooldown_seconds),
            approval_after=world.settings.approval_after,
        ),
        clock=world.clock,
        entered=world.metrics.entered,
        changed=changed,
    )


def _follower(world: World, runner: Runner, changed: Callable[[], None]) -> Follower:
    return Follower(
        database=world.database,
        sift=world.sift,
        clock=world.clock,
        poll=timedelta(seconds=world.settings.follow_poll_seconds),
        settle=timedelta(seconds=world.settings.settle_seconds),
        changed=changed,
        entered=world.metrics.entered,
        tasks=runner.tasks,
    )


def _watcher(world: World, changed: Callable[[], None]) -> Watcher:
    settings = world.settings
    return Watcher(
        database=world.database,
        sift=world.sift,
        clock=world.clock,
        route=settings.alerts_go_to,
        poll=timedelta(seconds=settings.alert_poll_seconds),
        most=settings.alert_storm,
        look_back=timedelta(hours=settings.alert_lookback_hours),
        changed=changed,
        polled=world.metrics.polled,
        left_out=world.metrics.left_out,
    )
