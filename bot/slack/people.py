"""Who somebody is, and who is in a user group, as Slack describes them now."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import structlog
from cachetools import TTLCache

from bot.slack.answers import Response, part
from bot.slack.errors import SlackError
from bot.slack.payloads import text_or_none

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody as Slack describes them now; the e-mail address only if the app was given `users:read.email`.

    Args:
        tz: their time zone by its IANA name; None where Slack names none.
    """

    team_id: str
    user_id: str
    name: str
    email: str | None = None
    tz: str | None = None
    deleted: bool = False
    is_bot: bool = False
    is_guest: bool = False
    is_stranger: bool = False


PERSON_SECONDS = 30
"""How long a person's standing (guest, deactivated, …) may be remembered."""

MEMBERS_SECONDS = 60
"""How long a user group's members may be remembered: `usergroups.users.list` allows about 20 calls a minute
(tier 2; docs.slack.dev/reference/methods/usergroups.users.list)."""

LOOK_UP_SECONDS = 5.0
"""The whole time for looking up a person or a group, which decisions wait for."""


class Calls(Protocol):
    """Slack's Web API, as far as looking somebody up takes it."""

    async def call(self, method: str, seconds: float | None = None, /, **arguments: object) -> Response: ...

    def wait_left(self, method: str) -> float: ...


class People:
    """Looks up people and groups, and remembers them for a moment.

    Args:
        web: what is called.
        timer: monotonic seconds, for what is remembered.
        seconds: the whole time for one look-up.
    """

    def __init__(self, web: Calls, timer: Callable[[], float], seconds: float = LOOK_UP_SECONDS) -> None:
        self._web = web
        self._seconds = seconds
        self._people: TTLCache[str, asyncio.Task[Person | None]] = TTLCache(2_000, PERSON_SECONDS, timer)
        self._members: TTLCache[str, asyncio.Task[frozenset[str] | None]] = TTLCache(200, MEMBERS_SECONDS, timer)

    async def person(self, user_id: str, team_id: str) -> Person | None:
        """Who somebody is now; None if Slack cannot say.

        Args:
            team_id: the workspace that Slack's request gave for the user: in a shared channel not always ours.
        """
        known = await self._shared(self._people, user_id, lambda: self._ask_person(user_id, team_id))
        if known is None or known.team_id == team_id:
            return known
        return replace(known, team_id=team_id, is_stranger=True)

    async def members(self, group_id: str) -> Collection[str] | None:
        """Who is in a user group; None if Slack cannot say."""
        return await self._shared(self._members, group_id, lambda: self._ask_members(group_id))

    async def id_by_email(self, email: str) -> str:
        """Returns the ID of whoever has an e-mail address; empty: nobody here, or nobody who reads messages.

        Raises:
            SlackError: Slack does not say; `missing_scope` without the optional `users:read.email`
                (docs.slack.dev/reference/methods/users.lookupByEmail).
        """
        try:
            user = part(await self._look_up("users.lookupByEmail", email=email), "user", dict)
        except SlackError as error:
            if error.error != "users_not_found":
                raise
            return ""
        person = _person(user, text_or_none(user, "id") or "", "")
        return "" if person.deleted or person.is_bot or person.is_stranger else person.user_id

    def remembers(self, user_id: str) -> bool:
        """Whether what Slack last said of somebody is recent enough to go by, so that nobody is asked again."""
        task = self._people.get(user_id)
        return task is not None and task.done()

    @property
    def look_up_wait(self) -> float:
        """For how many seconds Slack wants no question about a person or a group; 0: none."""
        return max(self._web.wait_left(method) for method in ("users.info", "usergroups.users.list"))

    async def groups(self) -> list[tuple[str, str]]:
        """The workspace's user groups, as (ID, handle); none where the plan has none."""
        try:
            found = part(await self._look_up("usergroups.list"), "usergroups", list)
        except SlackError:
            return []
        named = [group for group in found if isinstance(group, Mapping) and group.get("id")]
        return [(str(group["id"]), str(group.get("handle") or group.get("name") or group["id"])) for group in named]

    async def _ask_person(self, user_id: str, team_id: str) -> Person | None:
        try:
            answer = await self._look_up("users.info", user=user_id)
            return _person(part(answer, "user", dict), user_id, team_id)
        except SlackError as error:
            log.warning("slack.person_unknown", user_id=user_id, error=str(error))
            return None

    async def _ask_members(self, group_id: str) -> frozenset[str] | None:
        try:
            answer = await self._look_up("usergroups.users.list", usergroup=group_id)
            return frozenset(str(user_id) for user_id in part(answer, "users", list))
        except SlackError as error:
            log.warning("slack.group_unknown", group_id=group_id, error=str(error))
            return None

    async def _shared(
        self,
        cache: "TTLCache[str, asyncio.Task[T | None]]",
        key: str,
        look_up: Callable[[], Coroutine[object, None, T | None]],
    ) -> T | None:
        """Asks once for everybody who wants to know at the same time, and soon after; a failure is not remembered."""
        task = cache.get(key)
        if task is None:
            task = cache[key] = asyncio.create_task(look_up())
            task.add_done_callback(lambda done: _forget_failure(cache, key, done))
        return await asyncio.shield(task)

    async def _look_up(self, method: str, **arguments: object) -> Response:
        return await self._web.call(method, self._seconds, **arguments)


def _person(user: Mapping[str, object], user_id: str, team_id: str) -> Person:
    profile = user.get("profile")
    names = [text_or_none(profile, name) for name in ("display_name", "real_name")]
    names += [text_or_none(user, name) for name in ("real_name", "name")]
    return Person(
        team_id=text_or_none(user, "team_id") or team_id,
        user_id=user_id,
        email=text_or_none(profile, "email"),
        name=next(filter(None, names), ""),
        tz=text_or_none(user, "tz"),
        deleted=bool(user.get("deleted")),
        is_bot=bool(user.get("is_bot")) or user_id == "USLACKBOT",
        is_guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted")),
        is_stranger=bool(user.get("is_stranger")),
    )


def _forget_failure(cache: MutableMapping[str, "asyncio.Task[T]"], key: str, done: "asyncio.Task[T]") -> None:
    """Has a question asked again the next time that brought no answer."""
    failed = done.cancelled() or done.exception() is not None or done.result() is None
    if failed and cache.get(key) is done:
        del cache[key]
