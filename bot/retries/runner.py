"""The queue of requests: takes up what was recorded, at once or when it is found left behind, and has it shown."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from bot.base.bulkhead import Bulkhead
from bot.base.clock import Clock
from bot.base.loops import Tasks
from bot.base.rush import Rush
from bot.db.database import Database
from bot.db.writing import GIVE_BACK_SECONDS, leave_to_others
from bot.retries import about, claims, known, store
from bot.retries.attempt import Attempt
from bot.retries.decider import Decider
from bot.retries.limiter import ALONE, IN_A_BATCH, Limiter, rank_of
from bot.retries.messages import answers
from bot.retries.recorder import Recorder
from bot.retries.request import Request, Retry
from bot.retries.rules import Limits
from bot.retries.services import Services
from bot.retries.spelling import Speller
from bot.retries.state import OutcomeReason, RefusalReason, State
from bot.sift.client import Sift
from bot.sift.subject import About
from bot.sift.subjects import Subjects
from bot.slack.client import Slack
from bot.slack.message import Message
from bot.slack.outbox import LEASE
from bot.slack.publisher import Publisher

log = structlog.get_logger(__name__)

HINT_SECONDS = 3.0
"""After so long without an answer from Sift, the person is told that it takes longer."""

COMPLETE_SECONDS = 0.1
"""So long what Sift said of a retry waits to be shown together with what its job is about, where that is still looked
up: the channel knows of the retry by then, and a message that is complete at once need not be updated."""

GIVE_WAY_SECONDS = 0.3
"""For so long at most a turn waits while requests are being recorded: acks go first."""

MAX_CONCURRENT = 32
"""Requests on their way to an outcome at a time, of lone ones and of batches each: what is in flight takes memory."""

OF_ONE_PERSON = 16
"""So many of them are one person's: whoever asks for a lot, or is slow to be looked up, leaves room for others."""

FAILED_AGAIN = timedelta(seconds=5)
"""How soon a request is looked at again whose turn failed."""

KEEP_EVERY = LEASE / 4
"""How often the requests that wait here are put off for the other replicas."""


@dataclass(frozen=True)
class _Found:
    """What a sweep found left behind.

    Args:
        waiting: to be carried out.
        stale: refused, because nobody carried them out for too long.
        interrupted: unknown, because whoever was sending them is gone.
    """

    waiting: Sequence[Retry]
    stale: Sequence[Retry]
    interrupted: Sequence[Retry]


class Runner:
    """Gives each request its turn, so many at a time.

    Args:
        publisher: shows a lone request as soon as its turn is over.
        limiter: hands out the calls of Sift's retry endpoint.
        tasks: where turns are taken, on the side; drained by `stop`.
        entered: told each state that a request entered.
        changed: told when messages other than the retry's own are to be shown again.
    """

    def __init__(
        self,
        *,
        database: Database,
        sift: Sift,
        subjects: Subjects,
        slack: Slack,
        publisher: Publisher[Retry],
        decider: Decider,
        limiter: Limiter,
        limits: Limits,
        clock: Clock,
        tasks: Tasks,
        entered: Callable[[State], None],
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._slack = slack
        self._publisher = publisher
        self._clock = clock
        self._entered = entered
        self._changed = changed
        self._stopping = False
        self._at_work: set[str] = set()
        self._kept_at: datetime | None = None
        self._recording = Rush()
        self._rooms = {rank: Bulkhead(MAX_CONCURRENT, OF_ONE_PERSON) for rank in (ALONE, IN_A_BATCH)}
        self.tasks = tasks
        self._services = self._make_services(sift, subjects, decider, limiter, limits)
        self._speller = self._make_speller(decider)

    @property
    def busy(self) -> bool:
        """Whether requests wait here for their turn, or have it."""
        return bool(self._at_work)

    def giving_way(self) -> contextlib.AbstractContextManager[None]:
        """Has turns that are about to begin wait for a moment: something is being recorded that Slack waits for."""
        return self._recording.first()

    def start(self, request: Request) -> None:
        """Takes up a recorded request on the side."""
        if request.id not in self._at_work and not self._stopping:
            self._at_work.add(request.id)
            self.tasks.start(self._run(request), request_id=request.id)

    def start_batches(self) -> None:
        """Spells out what batches are recorded, and takes it up, on the side."""
        self.tasks.start(self._speller.open_batches())

    async def sweep(self) -> None:
        """Takes up what was left behind: by a crash, a failed turn, another replica."""
        held = sorted(self._at_work)
        found = await self._database.run(lambda connection: self._left_behind(connection, held))
        for request in found.interrupted:
            log.warning("retry.unknown", request_id=request.id, why=OutcomeReason.INTERRUPTED)
            self._entered(State.UNKNOWN)
        for request in found.waiting:
            self.start(request)
        for request in found.stale:
            about = {"request_id": request.id, "job_id": request.job_id, "state": State.REFUSED}
            log.info("retry.refused", **about, why=RefusalReason.STALE)
            self._entered(State.REFUSED)
        await self._speller.open_batches()

    async def stop(self, seconds: float) -> None:
        """Starts nothing more, and waits for what is under way; what cannot finish is found again at the next start."""
        self._stopping = True
        self._speller.stop()
        held = sorted(self._at_work)
        await self.tasks.drain(seconds)
        if held and not self._database.is_sqlite:  # where the next start frees everything anyway
            work = self._database.run(lambda c: claims.give_back(c, held, self._database.now(c)))
            await leave_to_others(work, GIVE_BACK_SECONDS)

    def _make_services(
        self, sift: Sift, subjects: Subjects, decider: Decider, limiter: Limiter, limits: Limits
    ) -> Services:
        recorder = Recorder(
            database=self._database,
            decider=decider,
            publisher=self._publisher,
            clock=self._clock,
            entered=self._entered,
            tell=self._start_telling,
        )
        return Services(
            database=self._database,
            sift=sift,
            subjects=subjects,
            decider=decider,
            limiter=limiter,
            limits=limits,
            clock=self._clock,
            recorder=recorder,
            changed=self._changed,
            stopping=self._is_stopping,
        )

    def _make_speller(self, decider: Decider) -> Speller:
        return Speller(
            database=self._database,
            decider=decider,
            clock=self._clock,
            tasks=self.tasks,
            start=self.start,
            stopping=self._is_stopping,
            entered=self._entered,
            changed=self._changed,
        )

    def _is_stopping(self) -> bool:
        return self._stopping

    def _left_behind(self, connection: Connection, held: Sequence[str]) -> _Found:
        now, at = self._database.now(connection), self._clock()
        # What is being sent here is not interrupted, whatever the clock says: it may have jumped.
        left = [retry.id for retry in claims.due(connection, [State.SENDING], now) if retry.id not in self._at_work]
        interrupted = [retry for one in left for retry in claims.claim(connection, [State.SENDING], now, only=one)]
        for retry in interrupted:
            detail = {"why": OutcomeReason.INTERRUPTED}
            store.transition(connection, retry, State.UNKNOWN, now, detail=detail, due_at=now)
        if self._kept_at is None or not now - KEEP_EVERY < self._kept_at <= now:
            claims.keep(connection, [request_id for request_id in held if request_id in self._at_work], now)
            self._kept_at = now
        others = [retry for retry in claims.due(connection, [State.REQUESTED], now) if retry.id not in self._at_work]
        stale = [retry for retry in others if claims.is_stale(retry, now)][: claims.STALE_AT_A_TIME]
        for retry in stale:
            store.refuse_stale(connection, retry.id, retry.created_at, now, at)
        return _Found([retry for retry in others if not claims.is_stale(retry, now)], stale, interrupted)

    async def _run(self, request: Request) -> None:
        try:
            attempt, why = await self._take_turn(request)
        except Exception:
            await self._leave_for_later(request)
            raise
        if request.batch_id is None:
            await self._show(request, attempt.moved, why)
        elif why is not None:
            await self._add_about(request, why)
        self._changed()

    async def _take_turn(self, request: Request) -> "tuple[Attempt, asyncio.Task[About] | None]":
        """Takes a turn, after which the request is not at work any more: not while it is shown, or left for later."""
        try:
            await self._recording.give_way(GIVE_WAY_SECONDS)
            return await self._turn(request)
        finally:
            self._at_work.discard(request.id)
            self._speller.ended(request)

    async def _leave_for_later(self, request: Request) -> None:
        """Has a request whose turn failed looked at again soon: it may have been put off for the other replicas."""

        def work(connection: Connection) -> None:
            claims.give_back(connection, [request.id], self._database.now(connection) + FAILED_AGAIN)

        await leave_to_others(self._database.run_lazily(work), GIVE_BACK_SECONDS)

    async def _turn(self, request: Request) -> "tuple[Attempt, asyncio.Task[About] | None]":
        alone = request.batch_id is None
        hint = asyncio.create_task(self._hint(request)) if alone else None
        room = self._rooms[rank_of(request)]
        try:
            with contextlib.ExitStack() as first:
                if alone:
                    first.enter_context(self._publisher.beginning.first())
                async with room.share(request.user_id):
                    attempt = Attempt(request, self._services, room, first)
                    return attempt, await attempt.carry_out()
        finally:
            if hint is not None:
                hint.cancel()

    async def _show(self, request: Request, moved: Retry | None, why: "asyncio.Task[About] | None") -> None:
        """Shows a lone request as its turn left it, with what it is about as soon as that is known."""
        if why is not None:
            await asyncio.wait((why,), timeout=COMPLETE_SECONDS)
            if why.done() and why.exception() is None:
                moved, why = await self._add_about(request, why) or moved, None
        await self._publisher.show(request.id, moved)
        if why is not None and (added := await self._add_about(request, why)) is not None:
            await self._publisher.show(request.id, added)

    async def _hint(self, request: Request) -> None:
        """Says that it takes longer, so that nobody stares at a channel in which nothing happens."""
        await asyncio.sleep(HINT_SECONDS)
        await self._tell(request, answers.still_at_it(request.id, request.job_id))

    def _start_telling(self, request: Request, message: Message) -> None:
        self.tasks.start(self._tell(request, message), request_id=request.id)

    async def _tell(self, request: Request, message: Message) -> None:
        await self._slack.tell(
            request.user_id,
            message,
            channel_id=request.channel_id,
            thread_ts=request.asked_in,
            response_url=request.response_url,
        )

    async def _add_about(self, request: Request, why: "asyncio.Task[About]") -> Retry | None:
        """Adds what the job is about and why it failed before; returns the row then, None if nothing was found out."""
        found = await why
        if found == About():
            return None

        def work(connection: Connection) -> Retry:
            about.add(connection, request.id, found, self._clock())
            return known.shown(connection, request.id)

        return await self._database.run_lazily(work)
