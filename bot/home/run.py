"""The run as the unit: what failed of it now, privately; and what its buttons stand for.

Nothing is retried before a press. What was shown is kept in a row, with the reason that was typed, so that a press is
recorded in time for its ack, whichever replica it reaches.
"""

import asyncio
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bot.access.authorizer import Authorizer
from bot.access.policy import Permission
from bot.base.requester import Requester
from bot.home import offers, run_messages
from bot.home.lookup import not_read
from bot.home.offer import Choice, Offer, Offered
from bot.home.run_messages import Failed
from bot.retries import batches, runs
from bot.retries.causes import records_of
from bot.retries.request import JobRef
from bot.sift.client import Sift
from bot.sift.errors import SiftError
from bot.sift.failures import Failures, RunSearch
from bot.sift.ids import RunRef
from bot.sift.job import Job
from bot.sift.resources import Run
from bot.sift.subject import About
from bot.slack.blocks import MAX_OPTIONS
from bot.slack.links import Place
from bot.slack.message import Message, View

SECONDS = 25.0
"""For so long Sift may take to say what failed of a run."""

Reading = tuple[RunRef, str | None]
"""A run as somebody may have meant it, and the reason that then stands after it."""


@dataclass(frozen=True)
class Press:
    """What a press of *Retry all* asks for.

    Args:
        jobs: what is left of it; none where somebody else was faster.
        delivered: whether the press was recorded before.
    """

    run: Choice
    jobs: Sequence[JobRef]
    reason: str | None
    delivered: bool


@dataclass(frozen=True)
class Runs:
    """Shows what failed of runs to people who may look."""

    authorizer: Authorizer
    sift: Sift
    place: Place

    async def show(self, requester: Requester, readings: Sequence[Reading], *, readonly: bool = False) -> Message:
        """What failed of a run, or which runs may be meant.

        Args:
            readings: the likeliest first; the first that is a run counts.
            readonly: whether no button is offered.
        """
        refusal = await self._refusal(requester)
        if refusal is not None:
            return refusal
        try:
            async with asyncio.timeout(SECONDS):
                return await self._find(requester, readings, readonly)
        except SiftError as error:
            return not_read(error)
        except TimeoutError:
            return not_read(None)

    async def choose(self, requester: Requester, offer_id: str, number: int) -> Message:
        """What failed of the run that was chosen from those that may be meant."""
        offer = await self._kept(requester, offer_id)
        if offer is None or not 0 <= number < len(offer.runs):
            return run_messages.too_old()
        run = offer.runs[number]
        reading = (RunRef(run.run_id, "" if run.run_id else run.name), offer.reason)
        return await self.show(requester, [reading], readonly=offer.readonly)

    async def press(self, requester: Requester, offer_id: str) -> Press | None:
        """What *Retry all* asks for; None once that is too old."""

        def work(connection: Connection) -> Press | None:
            offer = offers.kept(connection, requester.user_id, offer_id, self.authorizer.clock())
            if offer is None or not offer.runs:
                return None
            jobs = [one.wanted for one in offers.still_open(connection, offer)]
            return Press(offer.runs[0], jobs, offer.reason, batches.delivered(connection, requester.delivery_key))

        return await self.authorizer.database.run(work)

    async def selection(self, requester: Requester, offer_id: str) -> View | Message:
        """The modal to pick some of what was shown in; what to say instead once that is too old."""

        def work(connection: Connection) -> tuple[Offer, int] | None:
            offer = offers.kept(connection, requester.user_id, offer_id, self.authorizer.clock())
            if offer is None:
                return None
            left = offers.still_open(connection, offer)
            return replace(offer, jobs=tuple(left)), len(offer.jobs) - len(left)

        found = await self.authorizer.database.run(work)
        if found is None:
            return run_messages.too_old()
        origin = {"channel_id": requester.channel_id, "thread_ts": requester.thread_ts, "asked_in": requester.asked_in}
        return run_messages.selection(found[0], {"source": requester.source, **origin}, found[1])

    async def _refusal(self, requester: Requester) -> Message | None:
        return await self.authorizer.refusal(await self.authorizer.decide(requester, Permission.LOOK), "look at jobs")

    async def _kept(self, requester: Requester, offer_id: str) -> Offer | None:
        def work(connection: Connection) -> Offer | None:
            return offers.kept(connection, requester.user_id, offer_id, self.authorizer.clock())

        return await self.authorizer.database.run(work)

    async def _find(self, requester: Requester, readings: Sequence[Reading], readonly: bool) -> Message:
        search = RunSearch(self.sift)
        await search.begin()
        for ref, reason in readings:
            found = await self._matching(search, ref)
            offer = Offer(tuple(Choice(run.run_id, run.name) for run in found), (), reason, readonly)
            if len(found) == 1:
                return await self._failed(requester, search, found[0], offer)
            if found:
                return run_messages.choose(ref.name, found, await self._keep(requester, offer))
        ref, reason = readings[-1]
        nearest = await _nearest(search, ref.name) if ref.name else []
        offer = Offer(tuple(Choice(run.run_id, run.name) for run in nearest), (), reason, readonly)
        offer_id = await self._keep(requester, offer) if nearest else None
        return run_messages.not_found(ref.name or ref.run_id, nearest, offer_id)

    async def _matching(self, search: RunSearch, ref: RunRef) -> list[Run]:
        """The runs that may be meant: those of just that name, existing or not, before those that begin like it."""
        if ref.run_id:
            run = await search.run(ref.run_id)
            return [run] if run else []
        named = await search.runs_named(ref.name)
        exact = [run for run in named if _same(run.name, ref.name)]
        if exact:
            return exact
        unborn = [Run(name=name) for name in search.uploaded_as(ref.name)]
        if not any(_same(run.name, ref.name) for run in unborn) and await self._noted(Choice("", ref.name)):
            unborn = [Run(name=ref.name), *unborn]
        return [run for run in unborn if _same(run.name, ref.name)][:1] or [*named, *unborn]

    async def _failed(self, requester: Requester, search: RunSearch, run: Run, offer: Offer) -> Message:
        """What failed of a run, and what that offers to press."""
        failures = await search.failures_of(run, await self._noted(offer.runs[0]))
        seen = await self.authorizer.database.run(
            lambda connection: self._seen(connection, requester.user_id, failures, offer)
        )
        return run_messages.failed(seen, self.place)

    async def _noted(self, run: Choice) -> set[str]:
        return await self.authorizer.database.run(lambda connection: offers.noted(connection, run))

    def _seen(self, connection: Connection, user_id: str, failures: Failures, offer: Offer) -> Failed:
        """What is shown of failures; notes whose jobs they are, and keeps what is offered."""
        runs.note(connection, failures.about)
        busy = offers.under_way(connection, [job.job_id for job in failures.jobs])
        waiting = [job for job in failures.jobs if job.job_id not in busy]
        offer_id = None
        if waiting and not offer.readonly:
            jobs = _offered(waiting, failures.about)
            offer_id = offers.keep(connection, user_id, replace(offer, jobs=jobs), self.authorizer.clock())
        first = [jobs[0] for jobs in run_messages.by_cause(waiting, failures.about)[: run_messages.MAX_CAUSES]]
        causes = {failures.about[job.job_id].why.cause for job in first} - {""}
        return Failed(
            run=offer.runs[0],
            jobs=waiting,
            about=failures.about,
            under_way=len(busy),
            complete=failures.complete,
            records=records_of(connection, causes),
            reason=offer.reason,
            offer_id=offer_id,
        )

    async def _keep(self, requester: Requester, offer: Offer) -> str:
        at = self.authorizer.clock()
        return await self.authorizer.database.run(
            lambda connection: offers.keep(connection, requester.user_id, offer, at)
        )


def _offered(jobs: Sequence[Job], about: Mapping[str, About]) -> tuple[Offered, ...]:
    """Failures as they are kept; those that a modal can list, with what they are called there."""
    labels = [run_messages.label_of(job, about) for job in jobs[:MAX_OPTIONS]]
    padded = itertools.chain(labels, itertools.repeat(""))
    return tuple(Offered(job.job_id, job.failure, label) for job, label in zip(jobs, padded, strict=False))


async def _nearest(search: RunSearch, name: str) -> list[Run]:
    """The runs whose names begin like one that is not there, without its last number or word."""
    start = re.sub(r"[\W_]*[^\W_]+[\W_]*$", "", name)
    return await search.runs_named(start) if start else []


def _same(name: str, other: str) -> bool:
    """Whether two names are the same, letter case apart."""
    return name.casefold() == other.casefold()
