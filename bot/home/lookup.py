"""What may be looked at without retrying anything: what failed lately, one job as it is, the modal to pick from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select

from bot.access.authorizer import Authorizer
from bot.access.policy import Permission
from bot.base.requester import Requester, Source
from bot.db.tables import retries
from bot.home import messages
from bot.retries.kind import Kind
from bot.retries.messages import answers, modals
from bot.retries.request import Retry
from bot.retries.state import ACTIVE
from bot.retries.store import last_attempts
from bot.sift.client import Sift
from bot.sift.errors import SiftError
from bot.sift.subject import About
from bot.sift.subjects import Subjects
from bot.slack.blocks import MAX_OPTIONS, message_view
from bot.slack.links import Place
from bot.slack.message import Message

LISTED = 20
"""So many failed jobs are listed."""

LOOK_UP_SECONDS = 2.0
"""What jobs are about is looked up for so long while somebody waits."""

_UNDER_WAY = select(retries).where(
    retries.c.job_id.in_(bindparam("b_jobs", expanding=True)),
    retries.c.state.in_(ACTIVE),
    retries.c.kind == Kind.RETRY,
)


@dataclass(frozen=True)
class Lookup:
    """Looks things up for people who may look."""

    authorizer: Authorizer
    sift: Sift
    subjects: Subjects
    place: Place

    async def failed(self, requester: Requester) -> Message:
        """The jobs that failed lately, newest first, with what is being retried already."""
        refusal = await self.refusal_of(requester)
        if refusal is not None:
            return refusal
        try:
            jobs = await self.sift.failed_lately(LISTED)
        except SiftError as error:
            return answers.unreadable(str(error))
        return messages.failed(jobs, await self._under_way([job.job_id for job in jobs]), self.place)

    async def status(self, requester: Requester, job_id: str) -> Message:
        """One job as it is now."""
        refusal = await self.refusal_of(requester)
        if refusal is not None:
            return refusal
        try:
            job = await self.sift.job(job_id)
        except SiftError as error:
            return answers.unreadable(str(error))
        if job is None:
            return messages.unknown(job_id)
        about = (await self.subjects.about([job], within=LOOK_UP_SECONDS)).get(job_id, About())
        newest = await self.authorizer.database.run(lambda connection: last_attempts(connection, job_id).newest)
        return messages.status(job, newest, about.why.headline or None, self.place)

    async def pick(self, requester: Requester, trigger_id: str) -> None:
        """Opens the modal to pick from: at once, since its trigger does not live long; filled as soon as can be."""
        view_id = await self.authorizer.slack.open_view(trigger_id, modals.loading_view())
        await self.authorizer.slack.update_view(view_id, await self._pick_view(requester))

    async def _pick_view(self, requester: Requester) -> Mapping[str, Any]:
        refusal = await self.refusal_of(requester)
        if refusal is not None:
            return message_view(refusal, modals.TITLE)
        try:
            jobs = await self.sift.failed_lately(MAX_OPTIONS)
        except SiftError as error:
            return message_view(answers.unreadable(str(error)), modals.TITLE)
        under_way = await self._under_way([job.job_id for job in jobs])
        options = [modals.option_of(job, self.authorizer.clock()) for job in jobs if job.job_id not in under_way]
        origin = {"source": Source.MODAL, "channel_id": requester.channel_id}
        return modals.retry_view(options, origin, under_way=len(jobs) - len(options))

    async def refusal_of(self, requester: Requester) -> Message | None:
        return await self.authorizer.refusal(await self.authorizer.decide(requester, Permission.LOOK), "look at jobs")

    async def _under_way(self, job_ids: Collection[str]) -> dict[str, Retry]:
        """The retries under way, by job."""

        def work(connection: Connection) -> dict[str, Retry]:
            return {
                row.job_id: Retry.of(row._mapping) for row in connection.execute(_UNDER_WAY, {"b_jobs": list(job_ids)})
            }

        return await self.authorizer.database.run(work)
