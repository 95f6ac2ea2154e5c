"""The composition root: the use cases, each made of what stands above it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

from bot.access.authorizer import Access, Authorizer
from bot.access.changer import Changer
from bot.access.changes import Granting
from bot.access.quota import Quota
from bot.alerts import reminders
from bot.alerts.explainer import Explainer
from bot.alerts.handling import Handling
from bot.alerts.watcher import Watcher
from bot.app.help import help_text
from bot.app.listeners import UseCases
from bot.app.publishers import OUTBOXES, make_publishers
from bot.app.readiness import asking_sift
from bot.app.sweep import Sweep
from bot.audit.signing import Signer
from bot.audit.stream import Stream, destination
from bot.base.clock import Clock
from bot.base.loops import Loop, Soon, Tasks
from bot.base.metrics import Metrics
from bot.db.database import Database
from bot.digest.digests import Digests
from bot.home.lookup import Lookup
from bot.home.run import Runs
from bot.home.tab import Home
from bot.records.counts import Counts
from bot.records.history import History
from bot.retries.approvals import Approvals
from bot.retries.cooldown import Cooldowns
from bot.retries.decider import Decider
from bot.retries.follower import Follower
from bot.retries.intake import Intake
from bot.retries.limiter import Limiter
from bot.retries.reruns import Reruns
from bot.retries.rules import Limits
from bot.retries.runner import Runner
from bot.settings import Settings
from bot.sift.client import Sift, web_app_for
from bot.sift.subjects import Subjects
from bot.slack.channels import Channels
from bot.slack.client import Slack
from bot.slack.links import Place, Workspace
from bot.slack.outbox import Outbox
from bot.slack.people import People
from bot.slack.publisher import Publisher
from bot.slack.replies import Replies

SWEEP_SECONDS = 2.0
"""How often the rows are looked through for what was left behind."""

GATHER_SECONDS = 0.1
"""For so long changes are gathered before what shows them is looked at again."""

MAX_ANSWERS = 1_000
"""Answers and look-ups under way at a time: more than a whole company asks for while Slack takes ten seconds."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """Every feature of one process, in its workspace. Each property is made when it is first read, and once.

    Args:
        settings: which of them there are, and their limits.
        limiter: how many calls of Sift's retry endpoint may be under way at a time.
        signer: signs the audit's heads.
        timer: monotonic seconds.
        prepared: what clock and timer said when the database was made ready.
    """

    settings: Settings
    clock: Clock
    timer: Callable[[], float]
    prepared: tuple[datetime, float]
    database: Database
    metrics: Metrics
    limiter: Limiter
    signer: Signer
    slack: Slack
    people: People
    sift: Sift
    workspace: Workspace

    @cached_property
    def place(self) -> Place:
        return Place(self.workspace, self.settings.sift_app_url or web_app_for(self.settings.sift_rest_uri))

    @cached_property
    def quota(self) -> Quota:
        return Quota(self.settings.requests_per_minute)

    @cached_property
    def access(self) -> Access:
        return Access(self.database, self.people.members, self.settings.admins)

    @cached_property
    def authorizer(self) -> Authorizer:
        team_id = self.workspace.team_id
        return Authorizer(self.database, self.slack, self.people, self.access, team_id, self.clock, self.quota)

    @cached_property
    def counts(self) -> Counts:
        return Counts(self.database, self.timer)

    @cached_property
    def home(self) -> Home:
        return Home(self.authorizer, self.counts, partial(help_text, None), self.workspace, self.timer)

    @cached_property
    def publishers(self) -> dict[str, Publisher[Any]]:
        """What brings Slack up to date, by the name of the loop that drives it."""
        return make_publishers(self.settings, self.database, self.slack, self.metrics, self.clock, self.place)

    @cached_property
    def outboxes(self) -> dict[str, Outbox[Any]]:
        """What is shown in Slack, by the same names."""
        return dict(zip(self.publishers, OUTBOXES, strict=True))

    @cached_property
    def publishing(self) -> list[Loop]:
        return [Loop(name, SWEEP_SECONDS, one.sweep, asked=True) for name, one in self.publishers.items()]

    @cached_property
    def showing(self) -> Loop:
        """Looks which tables have rows to be shown, whenever something changed."""
        sweep = Sweep(self.database, self.clock, self.publishing, self.outboxes, ask=lambda loop: loop.wake())
        return Loop("showing", SWEEP_SECONDS, sweep.step, asked=True)

    @cached_property
    def changed(self) -> Soon:
        """Called after each change of a row, so that it is shown soon."""
        return Soon(GATHER_SECONDS, [self.showing.wake, self.home.changed])

    @cached_property
    def working(self) -> Tasks:
        """What is done on the side for requests: each has a row that remembers it."""
        return Tasks()

    @cached_property
    def cooldown(self) -> timedelta:
        """The least time between two retries of one job."""
        return timedelta(seconds=self.settings.retry_cooldown_seconds)

    @cached_property
    def subjects(self) -> Subjects:
        return Subjects(self.sift.lookups, self.timer)

    @cached_property
    def runner(self) -> Runner:
        settings = self.settings
        return Runner(
            database=self.database,
            sift=self.sift,
            subjects=self.subjects,
            slack=self.slack,
            publisher=self.publishers["retries"],
            decider=Decider(self.people, self.access, self.workspace.team_id, self.clock),
            limiter=self.limiter,
            limits=Limits(
                cooldown=self.cooldown,
                approval_after=settings.approval_after,
                approval_count=settings.approval_count,
                rerun=settings.rerun,
            ),
            clock=self.clock,
            tasks=self.working,
            entered=self.follower.entered,
            changed=self.changed,
        )

    @cached_property
    def follower(self) -> Follower:
        return Follower(
            database=self.database,
            sift=self.sift,
            subjects=self.subjects,
            publisher=self.publishers["retries"],
            clock=self.clock,
            poll=timedelta(seconds=self.settings.follow_poll_seconds),
            settle=timedelta(seconds=self.settings.settle_seconds),
            changed=self.changed,
            entered=self.metrics.entered,
            tasks=self.working,
            finds_late=self.settings.rerun,
            cooldown=self.cooldown,
        )

    @cached_property
    def cooldowns(self) -> Cooldowns:
        return Cooldowns(self.database, self.clock, self.cooldown, self.changed, self.metrics.entered)

    @cached_property
    def reruns(self) -> Reruns:
        return Reruns(
            database=self.database,
            sift=self.sift,
            clock=self.clock,
            poll=timedelta(seconds=self.settings.follow_poll_seconds),
            settle=timedelta(seconds=self.settings.settle_seconds),
            changed=self.changed,
            entered=self.follower.entered,
        )

    @cached_property
    def watcher(self) -> Watcher | None:
        """What finds failures; None where no channel is to hear of them."""
        if not self.settings.watches:
            return None
        return Watcher(
            database=self.database,
            sift=self.sift,
            clock=self.clock,
            route=self.settings.alerts_go_to,
            poll=timedelta(seconds=self.settings.alert_poll_seconds),
            most=self.settings.alert_storm,
            look_back=timedelta(hours=self.settings.alert_lookback_hours),
            found=self.explaining.wake,
            changed=self.changed,
            polled=self.metrics.polled,
            left_out=self.metrics.left_out,
        )

    @cached_property
    def asking_sift(self) -> Loop:
        return asking_sift(self.sift, self.watcher)

    @cached_property
    def stream(self) -> Stream | None:
        """What sends the audit elsewhere; None where nobody wants it."""
        address = self.settings.audit_stream
        return None if address is None else Stream(self.database, destination(address))

    @cached_property
    def explainer(self) -> Explainer:
        return Explainer(
            database=self.database,
            subjects=self.subjects,
            clock=self.clock,
            watching=lambda: self.watcher is not None and self.watcher.watching,
            changed=self.changed,
        )

    @cached_property
    def explaining(self) -> Loop:
        return Loop("explainer", SWEEP_SECONDS, self.explainer.step, asked=True)

    @cached_property
    def channels(self) -> Channels:
        return Channels(self.slack, self.settings.channels)

    @cached_property
    def digests(self) -> Digests:
        settings = self.settings
        return Digests(self.authorizer, settings.channels_alerted, settings.digest_at, settings.timezone, self.changed)

    @cached_property
    def answering(self) -> Tasks:
        """What is done on the side for whoever asked: nothing that a row remembers, so there is a limit to it."""
        return Tasks(MAX_ANSWERS)

    @cached_property
    def use_cases(self) -> UseCases:
        replies, settings = Replies(self.slack, self.answering), self.settings
        tell = replies.tell
        return UseCases(
            database=self.database,
            slack=self.slack,
            people=self.people,
            replies=replies,
            intake=Intake(self.database, self.runner, replies, self.quota, self.metrics, self.clock),
            approvals=Approvals(self.authorizer, self.runner.start, self.changed, self.metrics.entered),
            cooldowns=self.cooldowns,
            digests=self.digests,
            handling=Handling(
                self.authorizer, self.changed, settings.timezone, settings.remind_after, tell, self.workspace.link
            ),
            granting=Granting(Changer(self.authorizer, self.changed, tell)),
            lookup=Lookup(self.authorizer, self.sift, self.subjects, self.place),
            runs=Runs(self.authorizer, self.sift, self.place),
            home=self.home,
            history=History(self.authorizer, self.counts, self.workspace, self.signer, settings.timezone),
            metrics=self.metrics,
            clock=self.clock,
        )

    async def begin(self) -> None:
        """Writes what is to be there before the first request is taken."""
        if self.watcher is not None:
            await self.database.run(self.watcher.begin)
        if self.settings.remind_after is None:
            await self.database.run(reminders.forget)
