"""Brings what Slack shows up to date with the rows: claims what lags behind, has it shown, and writes that down."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Generic

import structlog
from sqlalchemy import Connection

from bot.base.clock import Clock
from bot.base.loops import Tasks
from bot.base.rush import Rush
from bot.db.database import Database
from bot.db.writing import until_written
from bot.slack.client import Slack
from bot.slack.display import Display
from bot.slack.errors import RateLimited, SlackError, SlackUnavailable
from bot.slack.outbox import GIVE_UP_AFTER, LEASE, TRIES_IF_REFUSED, TRIES_OF_A_DAY, Outbox, S, pause_after
from bot.slack.piece import Piece
from bot.slack.showing import GIVE_WAY_SECONDS, Place, Places, Showing, rest_after

log = structlog.get_logger(__name__)

TURN_SECONDS = 45.0
"""Less than a lease: a turn that takes longer is given up, and another one takes over."""

SURELY_OURS = 1 / 4
"""For this part of its lease a claim is not looked up before each message: nobody else takes the row before the end."""

Claim = Callable[[Connection], None]
"""Claims a row in the running transaction."""


class ClaimLost(Exception):
    """The lease is over, or somebody else has the row: nothing more may be posted for it."""


class Publisher(Generic[S]):
    """Shows the rows of one table in Slack.

    A place is taken first, then as many rows are claimed as there are places: none waits while its lease runs out.

    Args:
        database: where the rows are, and which messages show them.
        outbox: which rows lag behind.
        pieces: the messages that should show a row, in the order they are posted.
        pause: how long a row that keeps changing is left alone between two turns.
        turn_seconds: how long one attempt to show a row may take; less than the lease.
        lease: for how long a claimed row is left to its claimant.
        timer: monotonic seconds.
        first: told of a row when its first message is posted.
    """

    def __init__(
        self,
        database: Database,
        slack: Slack,
        outbox: Outbox[S],
        pieces: Callable[[S], Sequence[Piece]],
        clock: Clock,
        pause: timedelta = timedelta(0),
        turn_seconds: float = TURN_SECONDS,
        lease: timedelta = LEASE,
        timer: Callable[[], float] = time.monotonic,
        first: Callable[[S], None] | None = None,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._display = Display(slack, pieces, self._check_claim, first)
        self._clock = clock
        self._pause = pause
        self._turn_seconds = turn_seconds
        self._lease = lease
        self._timer = timer
        self.beginning = Rush()  # what is about to be shown for the first time; what goes on in a thread gives way
        self._places = Places()
        self._claiming = asyncio.Lock()
        self._crowded = False
        self._stopping = False
        self._turns: dict[str, Showing[S]] = {}
        self._tasks = Tasks()

    @property
    def unpostable(self) -> Mapping[str, str]:
        """Why a channel cannot be posted to, by its ID; of channels where there is no reader to be told instead."""
        return self._display.unpostable

    async def sweep(self) -> None:
        """Takes up the rows that lag behind, as many as there are places; each that is done makes room for the next."""
        self._crowded = False
        while (turn := await self._claim()) is not None:
            self._tasks.start(self._show_and_go_on(turn), request_id=turn.row.id)

    async def show(self, row_id: str, news: S | None = None) -> None:
        """Shows one row now; one whose place is full, or that another process shows, is left to the sweep.

        Args:
            news: the row as it was changed; a turn that waits for it goes on with it.
        """
        if (turn := self._turns.get(row_id)) is not None:
            turn.go_on(news)
            await turn.over.wait()
            if news is not None and turn.shown == news.version:
                return
        if (turn := await self._claim(row_id)) is not None:
            await self._show_claimed(turn)

    @contextlib.contextmanager
    def claiming(self, row_id: str, place: str, *, more: bool = False) -> Iterator[Claim]:
        """Claims a row in the transaction that changes it, and begins to show it on the side once that is committed.

        Args:
            place: where the row is shown; where there is no place left, it is left to the sweep.
            more: whether more is to follow soon, which `show` tells of.

        Yields:
            What claims the row, to be called in the transaction.
        """
        if row_id in self._turns:  # which goes on with what `show` tells of
            yield lambda _: None
            return
        taken = self._take_place(place)
        claimed: S | None = None
        until: datetime | None = None

        def claim(connection: Connection) -> None:
            nonlocal claimed, until
            now, before = self._database.now(connection), claimed
            if taken is not None:
                claimed = self._outbox.claim_changed(connection, row_id, now, self._lease)
            if claimed is not None:
                until = now + self._lease
            elif before is not None and self._outbox.holds(connection, before, now, until):
                claimed = before  # an earlier try was committed after all

        try:
            yield claim
        except BaseException:
            claimed = None  # if it was committed all the same, the row is found when the lease is over
            raise
        finally:
            if taken is not None and claimed is not None:
                news = asyncio.get_running_loop().create_future() if more else None
                turn = self._turns[row_id] = Showing(claimed, taken, news)
                self._tasks.start(self._show_claimed(turn), request_id=row_id)
            elif taken is not None:
                self._places.give_back(taken)

    async def stop(self, seconds: float) -> None:
        """Takes up nothing more by itself, and waits for what is under way."""
        self._stopping = True
        await self._tasks.drain(seconds)

    def _take_place(self, name: str) -> Place | None:
        claiming = self._claiming.locked()  # a row is about to take a place, perhaps this one
        if self._places.left <= claiming or name in self._places.full:
            self._crowded = True
            return None
        return self._places.take(name, self._timer(), self._database.clock())

    async def _claim(self, only: str | None = None) -> Showing[S] | None:
        """Takes a place and the row that has waited longest for one; None if there is no place, or no such row."""
        async with self._claiming:
            full, since, at = self._places.full, self._timer(), self._database.clock()
            self._crowded = self._crowded or bool(full) or self._places.left <= 0
            if (self._stopping and only is None) or self._places.left <= 0:
                return None
            # Of a database that comes back by itself after a crash, a claim must not be lost while we go on with it.
            run = self._database.run_lazily if self._database.is_sqlite else self._database.run

            def claim(connection: Connection) -> tuple[list[S], float]:
                began, now = self._timer(), self._database.now(connection)
                rows = self._outbox.claim(connection, now, only=only, limit=1, apart_from=full, lease=self._lease)
                return rows, self._timer() - began

            rows, seconds = await run(claim)
            if not rows:
                return None
            place, earlier = self._places.take(rows[0].place, since, at), self._turns.get(rows[0].id)
            row, rest = rows[0], rest_after(self._pause, seconds)
            turn = self._turns[row.id] = Showing(row, place, earlier=earlier, rest=rest)
            return turn

    async def _show_and_go_on(self, turn: Showing[S]) -> None:
        await self._show(turn)
        if turn.behind or self._crowded:
            await self.sweep()

    async def _show_claimed(self, turn: Showing[S]) -> None:
        """Shows one row, and then has rows looked for that found no place before."""
        await self._show(turn)
        if self._crowded:
            self._tasks.start(self.sweep())

    async def _show(self, turn: Showing[S]) -> None:
        """Uses the place that was taken for a row, and gives it back."""
        try:
            await self._attempt(turn)
        except ClaimLost:
            log.info("display.claim_lost", request_id=turn.row.id)
        finally:
            self._places.give_back(turn.place)
            if self._turns.get(turn.row.id) is turn:
                del self._turns[turn.row.id]
            turn.over.set()

    async def _attempt(self, turn: Showing[S]) -> None:
        """One attempt to show a row; whatever came of it is written down."""
        began = asyncio.get_running_loop().time()
        problem: Exception | None = None
        try:
            async with asyncio.timeout(self._turn_seconds):
                await turn.alone()
                await self._bring_up_to_date(turn)
        except ClaimLost:
            raise
        except RateLimited as error:
            problem = error
        except (SlackError, TimeoutError) as error:
            problem = error
            self._display.note(turn.row, error)
            log.warning("display.failed", request_id=turn.row.id, error=str(error) or type(error).__name__)
        except Exception as error:  # whatever one row runs into, the others go on
            problem = error
            log.exception("display.failed", request_id=turn.row.id)
        left = self._lease.total_seconds() - (asyncio.get_running_loop().time() - began)
        turn.behind = await until_written(lambda: self._write_down(turn, problem), seconds=left)
        turn.shown = turn.row.version if problem is None else None
        if isinstance(problem, RateLimited):
            asyncio.get_running_loop().call_later(turn.again_after(problem.retry_after).total_seconds(), self._wake)

    async def _bring_up_to_date(self, turn: Showing[S]) -> None:
        """Shows the row as it was claimed, and then what follows soon, all under the one claim."""
        shown: dict[str, Mapping[str, str]] = dict(turn.row.shown)
        turn.row = replace(turn.row, shown=shown)
        fence, interrupted = turn.row.show_fence, turn.row.interrupted
        if shown:
            await self.beginning.give_way(GIVE_WAY_SECONDS)
        turn.row = await self._display.bring_up_to_date(turn.row, shown)
        if (news := await turn.what_follows()) is not None:
            unpostable = turn.row.unpostable
            turn.row = replace(news, shown=shown, unpostable=unpostable, show_fence=fence, interrupted=interrupted)
            await self.beginning.give_way(GIVE_WAY_SECONDS)
            turn.row = await self._display.bring_up_to_date(turn.row, shown)

    def _wake(self) -> None:
        """Looks for a row whose wait is over, without waiting for the next sweep."""
        if not self._stopping:
            self._tasks.start(self.sweep())

    async def _write_down(self, turn: Showing[S], problem: Exception | None) -> bool:
        """Writes which messages show the row now, and when it is looked at again; whether it changed meanwhile."""
        row, limited = turn.row, isinstance(problem, RateLimited)
        return await self._database.run_lazily(
            lambda connection: self._outbox.showed(
                connection,
                row,
                self._database.now(connection),
                shown=row.shown,
                unpostable=row.unpostable,
                pause=turn.rest,
                again_in=self._again_in(turn, problem) if problem is not None else None,
                failed=not limited,
                lost=problem is not None and (row.interrupted or not _refused(problem)),
            )
        )

    async def _check_claim(self, row: S) -> None:
        """Makes sure, right before a message, that nobody else is about to send it: this process may have slept.

        Raises:
            ClaimLost: somebody may be.
        """
        turn, young = self._turns[row.id], self._lease * SURELY_OURS
        mine = turn.row.show_fence == row.show_fence  # and not the next one's, that waits until this one is over
        if mine and turn.place.is_younger_than(young, self._timer(), self._database.clock()):
            return
        if not await self._database.run_lazily(
            lambda connection: self._outbox.holds(connection, row, self._database.now(connection))
        ):
            raise ClaimLost

    def _again_in(self, turn: Showing[S], problem: Exception) -> timedelta | None:
        """Longer and longer pauses, or the one that Slack asks for; None when nobody waits for the message any more."""
        if isinstance(problem, RateLimited):
            return turn.again_after(problem.retry_after)
        row, tries = turn.row, TRIES_IF_REFUSED if _refused(problem) else TRIES_OF_A_DAY
        if self._clock() - row.since > GIVE_UP_AFTER and row.show_failures >= tries:
            log.error("display.given_up", request_id=row.id)
            return None
        return pause_after(row.show_failures)


def _refused(problem: Exception | None) -> bool:
    """Whether Slack said no, so that nothing was done."""
    return isinstance(problem, SlackError) and not isinstance(problem, SlackUnavailable)
