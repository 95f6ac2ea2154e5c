"""What may be looked at without retrying anything: what failed lately, one job as it is, the modal to pick from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import Connection

from bot.access.authorizer import Authorizer
from bot.access.policy import Permission
from bot.alerts import queries
from bot.base.requester import Requester, Source
from bot.base.text import new_id
from bot.home import messages
from bot.home.messages import Listed
from bot.retries import known
from bot.retries.messages import answers, modals
from bot.retries.queries import last_attempts
from bot.sift.client import Sift
from bot.sift.errors import SiftError
from bot.sift.job import Job
from bot.sift.subject import About
from bot.sift.subjects import Subjects
from bot.slack.blocks import MAX_OPTIONS, message_view
from bot.slack.links import Place
from bot.slack.message import Message

log = structlog.get_logger(__name__)

LISTED = 20
"""So many failed jobs are listed."""

LOOK_UP_SECONDS = 2.0
"""What jobs are about is looked up for so long while somebody waits."""


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
            return not_read(error)
        return messages.failed(jobs, await self._known(jobs), self.place)

    async def status(self, requester: Requester, job_id: str) -> Message:
        """One job as it is now."""
        refusal = await self.refusal_of(requester)
        if refusal is not None:
            return refusal
        try:
            job = await self.sift.job(job_id)
        except SiftError as error:
            return not_read(error)
        if job is None:
            return messages.unknown(job_id)
        listed = await self._known([job])
        newest = await self.authorizer.database.run(lambda connection: last_attempts(connection, job_id).newest)
        return messages.status(job, newest, listed, self.place)

    async def pick(self, requester: Requester, trigger_id: str) -> None:
        """Opens the modal to pick from: at once, since its trigger does not live long; filled as soon as can be."""
        view_id = await self.authorizer.slack.open_view(trigger_id, modals.loading_view())
        await self.authorizer.slack.update_view(view_id, await self._pick_view(requester))

    async def _pick_view(self, requester: Requester) -> Mapping[str, Any]:
        asked = await self.authorizer.decide(requester, Permission.RETRY)
        refusal = await self.authorizer.refusal(asked, "retry jobs")
        if refusal is not None:
            return message_view(refusal, modals.TITLE)
        try:
            jobs = await self.sift.failed_lately(MAX_OPTIONS)
        except SiftError as error:
            return message_view(not_read(error), modals.TITLE)
        listed, now = await self._known(jobs), self.authorizer.clock()
        free = [job for job in jobs if job.job_id not in listed.under_way]
        options = [modals.option_of(job, now, listed.about_of(job.job_id)) for job in free]
        origin = {"source": Source.MODAL, "channel_id": requester.channel_id}
        return modals.retry_view(options, origin, under_way=len(jobs) - len(options))

    async def refusal_of(self, requester: Requester) -> Message | None:
        return await self.authorizer.refusal(await self.authorizer.decide(requester, Permission.LOOK), "look at jobs")

    async def _known(self, jobs: Sequence[Job]) -> Listed:
        """What is known of jobs: of our own rows at once, of Sift within a moment."""
        found = await self.subjects.about(jobs, within=LOOK_UP_SECONDS)

        def work(connection: Connection) -> Listed:
            ids = [job.job_id for job in jobs]
            nameless = [one for one in ids if not found.get(one, About()).subject.title_parts()]
            about = dict(found)
            for job_id, subject in known.subjects(connection, nameless).items():
                about[job_id] = replace(found.get(job_id, About()), subject=subject)
            under_way = known.open_retries(connection, ids)
            causes = [about[one].why.cause for one in ids if one in about and about[one].why.cause]
            return Listed(under_way, about, known.records(connection, causes), queries.on_call(connection, ids))

        return await self.authorizer.database.run(work)


def not_read(error: SiftError | None) -> Message:
    """What is said when Sift could not be read for somebody, with a reference that finds the log line.

    Args:
        error: None: it took too long.
    """
    reference = new_id()
    log.warning("sift.not_read", reference=reference, error="no answer in time" if error is None else str(error))
    return answers.unreadable(error, reference)
