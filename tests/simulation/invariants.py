"""What must hold in every run, each a function with the name that a violation is reported under."""

import contextlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.alerts.explainer import Explainer
from bot.audit.verification import NotAsWritten, verify
from bot.retries import approval_rows, attempt, sending
from bot.retries.runner import Runner
from bot.sandbox.sift.jobs import FAILED
from bot.sandbox.slack.directory import ADMIN, BOT_USER
from bot.sandbox.slack.messages import Message, texts
from bot.sandbox.slack.workspace import Delivered
from bot.slack.publisher import Publisher
from tests.simulation.network import Call, Weather
from tests.simulation.world import World

UNDER_WAY = ("sending", "unknown", "accepted")
ENDED = ("denied", "refused", "failed", "not_applied", "finished", "failed_again", "cancelled", "lost")
FOLLOWS = {
    None: {"requested", "denied", "refused"},
    "requested": {"denied", "refused", "failed", "sending"},
    "sending": {"accepted", "refused", "failed", "unknown", "requested"},
    "unknown": {"accepted", "not_applied", "finished", "failed_again"},
    "accepted": {"finished", "failed_again", "cancelled", "lost"},
}
"""Which states may follow which, written down once more: docs/design.md."""

STANDING = timedelta(seconds=30)
"""Nothing is sent for whom policy has denied for so long, and a moment for what is on its way."""

MOMENT = timedelta(seconds=2)

MARKED_WITHIN = timedelta(seconds=15)
"""Grants and approvals are looked up in the transaction that marks a request, and that takes no longer."""

APPROVAL_FOR = timedelta(seconds=20)
"""How long a second person has, in the simulated world: an hour, of which most would be waiting."""

AT_REST = {"Replica._work", "Loop.run", "Event.wait"}
"""What a process does at rest: its loops, each of which waits for two events at most."""

MOST_BESIDE = 10
"""What the loops are just doing may come to so many tasks."""

MEMBERS_SECONDS = 60
"""Who is in a group is remembered for so long."""

_ACT = re.compile(r"/api/v1/jobs/([^/:]+):(retry|cancel)")
_JOB = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_OF_ITS_OWN = re.compile(
    r":[a-z_]{3,}:|<@U[A-Z0-9]+>|finished|failed again|under way|cancelled|waiting|being sent|not retried|never took",
    re.IGNORECASE,
)
_SENDING: ContextVar[str | None] = ContextVar("sending", default=None)
"""The request for which something is being sent."""


class Watch:
    """Looks at what the bot sends while it does, and at everything once the world is at rest."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sent: Counter[str] = Counter()
        self.told: set[str] = set()
        world.leaving.append(self.leaves)

    def leaves(self, call: Call, weather: Weather) -> None:
        """Looks at a call that the bot makes."""
        if b"could not be recorded" in call.body and call.path.endswith("chat.postEphemeral"):
            self.told.add(json.loads(call.body)["user"])
        acting = _ACT.fullmatch(call.path) if call.acts else None
        if acting is None:
            return
        request_id = _SENDING.get() or ""
        rows = self.world.rows("SELECT * FROM retries WHERE id = ?", request_id)
        marked_before_it_is_sent(self.world, request_id, rows)
        if not proves_nothing_was_done(weather):
            self.sent[request_id] += 1
        no_request_is_sent_twice(self.world, request_id, self.sent[request_id])
        if rows:
            nothing_is_sent_for_whom_policy_denies(self.world, dict(rows[0]))
            nothing_is_sent_without_its_second_person(self.world, dict(rows[0]))

    def at_rest(self, delivered: list[Delivered]) -> None:
        """Looks at everything, once nothing more is to be done."""
        world = self.world
        for holds in (
            one_retry_of_a_job_under_way,
            every_request_tells_its_story,
            the_audit_is_whole,
            one_message_per_thing_to_show,
            every_alert_is_shown,
            no_secret_turns_up,
        ):
            holds(world)
        nothing_acknowledged_is_lost(world, delivered, self.told)
        a_redelivery_does_nothing(world, delivered)
        nothing_denied_is_done(world, delivered)
        nothing_goes_on_beside(world)

    def at_the_end(self) -> None:
        """Looks at what is left once every process has ended."""
        nothing_is_left_running(self.world)


@contextlib.contextmanager
def watching() -> Iterator[None]:
    """Has what is sent say for which request."""
    send = sending.send

    async def telling(sift: Any, retry: Any, *more: Any) -> Any:
        token = _SENDING.set(retry.id)
        try:
            return await send(sift, retry, *more)
        finally:
            _SENDING.reset(token)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempt, "send", telling)
        patch.setattr(approval_rows, "APPROVAL_FOR", APPROVAL_FOR)
        yield


def stirring(world: World) -> list[str]:
    """What is still to be done."""
    waiting = world.rows("SELECT id, state FROM retries WHERE state IN ('requested', 'sending', 'unknown', 'accepted')")
    found = [f"{row['state']} {row['id']}" for row in waiting]
    found += [f"batch {row['id']}" for row in world.rows("SELECT id FROM batches WHERE due_at IS NOT NULL")]
    undecided = world.rows("SELECT id FROM alerts WHERE manner = 'new'")  # a lease, after whoever noted it died
    found += [f"alert {row['id']} to be decided on" for row in undecided]
    for table in ("retries", "batches", "alerts", "storms", "digests"):
        rows = world.rows(f"SELECT id FROM {table} WHERE show_at IS NOT NULL")
        found += [f"{table} {row['id']} to be shown" for row in rows]
    found += [f"{replica.number} not working" for replica in world.replicas if not replica.works]
    return found or _unnoticed(world) or held(world)


def _unnoticed(world: World) -> list[str]:
    """Failures that nobody has looked for yet."""
    noted = {row["job_id"] for row in world.rows("SELECT job_id FROM alerts")}
    since = world.rows("SELECT value FROM marks WHERE name = 'watching_since'")
    now, started = world.now(), _moment(since[0]["value"]) if since else world.now()
    failed = [job for job in world.added if job.status(now) == FAILED and job.modified > started]
    return [f"failure of {job.job_id}" for job in failed if job.job_id not in noted]


def held(world: World) -> list[str]:
    """What the processes hold in memory of requests and messages."""
    found: list[str] = []
    for replica in world.replicas:
        assert replica.bot is not None
        loops: Any = replica.bot.readiness._loops
        for part in (loop._step.__self__ for loop in loops if hasattr(loop._step, "__self__")):
            parts: dict[str, int] = {}
            if isinstance(part, Runner):
                parts = {"tasks": len(part.tasks), "requests": len(part._at_work)}
                parts |= {f"places of rank {rank}": room.keys for rank, room in part._rooms.items()}
            elif isinstance(part, Publisher):
                parts = {"places": part._places._taken.total(), "tasks": len(part._tasks)}
            elif isinstance(part, Explainer):
                parts = {"failures looked up": len(part._at_work)}
            found += [f"{replica.process.name} holds {count} {name}" for name, count in parts.items() if count]
    return found


# While it happens


def proves_nothing_was_done(weather: Weather) -> bool:
    """Whether what the bot gets is proof that Sift did nothing."""
    return weather.refused or (weather.answer is not None and weather.answer.status in (400, 429))


def marked_before_it_is_sent(world: World, request_id: str, rows: Sequence[Any]) -> None:
    """What is sent stands as `sending`, committed, when it leaves; nobody has taken it for interrupted since."""
    state = rows[0]["state"] if rows else "not recorded"
    if state != "sending":
        world.violated("marked before it is sent", f"{request_id} is {state} when it is sent")


def no_request_is_sent_twice(world: World, request_id: str, times: int) -> None:
    """No request is sent again that may have arrived."""
    if times > 1:
        world.violated("no request is sent twice", f"{request_id} is sent {times} times")


def nothing_is_sent_for_whom_policy_denies(world: World, row: dict[str, Any]) -> None:
    """Somebody who has been denied for as long as the bot may go by what it knew is sent nothing for."""
    if world.storage.alone and world.replicas[0].offset:
        return  # that its clock is wrong is not for the bot to know; others go by the database's
    if not may_have(world, row["user_id"], world.now()):
        world.violated("nothing is sent for whom policy denies", f"{row['id']} of {row['user_id']}")


def may_have(world: World, user_id: str, now: datetime) -> bool:
    """Whether somebody could retry as far as the bot may go by what it knew: the rules once more, simply.

    Who somebody is, and what they hold, is looked up at different moments.
    """
    since, marked = now - STANDING - MOMENT, now - MARKED_WITHIN
    if all(person.deleted for person in world.person_between(user_id, since, now)):
        return False
    remembered = world.person_between(user_id, since - timedelta(seconds=MEMBERS_SECONDS), now)
    subjects = {user_id, *(group for person in remembered for group in person.groups)}
    grants = world.rows("SELECT * FROM grants WHERE role IN ('operator', 'admin')")
    return user_id == ADMIN or any(
        grant["subject"] in subjects
        and (grant["expires_at"] is None or marked < _moment(grant["expires_at"]))
        and (grant["revoked_at"] is None or marked < _moment(grant["revoked_at"]))
        for grant in grants
    )


def nothing_is_sent_without_its_second_person(world: World, row: dict[str, Any]) -> None:
    """From `APPROVAL_AFTER` on, as many other people have approved as are asked for, or an admin broke the glass."""
    after, count = (world.plan.settings[name] for name in ("APPROVAL_AFTER", "APPROVAL_COUNT"))
    if row["kind"] != "retry" or not after or row["attempt"] < int(after):
        return
    approved = {one["user_id"] for one in world.rows("SELECT user_id FROM approvals WHERE retry_id = ?", row["id"])}
    broken = world.rows("SELECT id FROM audit WHERE event = 'break_glass' AND request_id = ?", row["id"])
    if row["user_id"] in approved or (len(approved) < int(count) and not broken):
        world.violated("nothing is sent without its second person", f"{row['id']} with the approval of {approved}")


def _moment(stored: str | datetime) -> datetime:
    moment = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# Once everything is at rest


def _entries(world: World) -> Sequence[Any]:
    return world.rows("SELECT * FROM audit WHERE event IN ('request', 'cancel', 'rerun') ORDER BY id")


def one_retry_of_a_job_under_way(world: World) -> None:
    """A job has one request of a kind under way at a time, by the order in which they were written."""
    under_way: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in _entries(world):
        of_job = under_way[entry["job_id"], entry["event"]]
        of_job.discard(entry["request_id"])
        if entry["outcome"] in UNDER_WAY:
            of_job.add(entry["request_id"])
        if len(of_job) > 1:
            world.violated("one retry of a job under way", f"{sorted(of_job)} of {entry['job_id']}")


def every_request_tells_its_story(world: World) -> None:
    """Each request's entries follow each other as the states allow, from being recorded to its end."""
    stories: dict[str, list[str]] = defaultdict(list)
    for entry in _entries(world):
        if entry["request_id"] is not None:
            stories[entry["request_id"]].append(entry["outcome"])
    for request_id, story in stories.items():
        steps = zip([None, *story], story, strict=False)
        if wrong := [step for step in steps if step[1] not in FOLLOWS.get(step[0], set())]:
            world.violated("every request tells its story", f"{request_id}: {wrong} in {story}")
        elif story[-1] not in ENDED:
            world.violated("every request tells its story", f"{request_id} ends with {story}")
    for row in world.rows("SELECT id, state FROM retries"):
        told = stories.get(row["id"], [None])[-1]
        if told != row["state"]:
            world.violated("every request tells its story", f"{row['id']} is {row['state']}, told {told}")


def the_audit_is_whole(world: World) -> None:
    """The chain is unbroken, and the tables are what it replays."""
    bot = world.replicas[0].bot
    assert bot is not None
    try:
        verify(bot.database, None, [], None, lambda _: lambda rows: rows)
    except NotAsWritten as problem:
        world.violated("the audit is whole", str(problem))


def one_message_per_thing_to_show(world: World) -> None:
    """Each message that should show a row is there, says what the row says, and is there once.

    In a channel that the bot is not in it cannot look for it: there may be one more, also of what should be gone.
    """
    found: dict[str, list[Message]] = defaultdict(list)
    for channel in world.slack.channels.values():
        for message in channel.messages:
            if message.user == BOT_USER and message.blocks:
                found[":".join(message.blocks[0]["block_id"].split(":")[:2])].append(message)
    for row_id, piece, known in _pieces(world):
        marker = f"{row_id}:{piece.kind}"
        if piece.private:
            continue
        if piece.taken_back:
            still = [message for message in found[marker] if known and message.ts == known["ts"]]
            if still or any(_may_look(world, message.channel) for message in found[marker]):
                world.violated("one message per thing to show", f"{marker} should be gone")
            continue
        there = [message for message in found[marker] if known and message.ts == known["ts"]]
        if not there or _words(there[0].blocks) != _words(piece.message.blocks):
            said = [_words(message.blocks) for message in found[marker]]
            world.violated(
                "one message per thing to show", f"{marker} should say {_words(piece.message.blocks)}: {said}"
            )
        elif len(found[marker]) > 1 and _may_look(world, there[0].channel):
            world.violated("one message per thing to show", f"{marker} is there {len(found[marker])} times")


def _words(blocks: Sequence[Any]) -> list[str]:
    """What blocks say of a row's own: who, how it stands, how many.

    How a job is called, why it failed and whether retrying helped before is known of other rows, as of when it was
    shown.
    """
    return [word.lower() for text in texts(list(blocks)) for word in _OF_ITS_OWN.findall(text)]


def _may_look(world: World, channel_id: str) -> bool:
    return BOT_USER in world.slack.channel(channel_id).members


def _pieces(world: World) -> Iterator[tuple[str, Any, Any]]:
    """What should be shown, with what the rows know of its message."""
    bot = world.replicas[0].bot
    assert bot is not None
    publishers: Any = bot.readiness._publishers
    with bot.database.reading() as connection:
        for publisher in publishers:
            table = publisher._outbox._lagging.get_final_froms()[0]
            for row in connection.execute(table.select()).all():
                shown = publisher._outbox._load(connection, row, False)
                if shown is None or json.loads(row.shown) == {}:
                    continue
                for piece in publisher._display._pieces(shown):
                    yield row.id, piece, shown.shown.get(piece.kind)


def every_alert_is_shown(world: World) -> None:
    """Each failure that is one still is known, and its alert is shown: alone, or within a storm."""
    rows = world.rows("SELECT id, manner, shown, storm_id, parent_id FROM alerts")
    for row in rows:
        alone = row["manner"] == "alone" and row["parent_id"] is None
        if alone and json.loads(row["shown"]) == {}:
            world.violated("every alert is shown", f"{row['id']} is not")
        if row["manner"] in (None, "new"):
            world.violated("every alert is shown", f"nobody decided how {row['id']} is shown")


def no_secret_turns_up(world: World) -> None:
    """Whoever repeats the bot's secrets, they stand neither in the database nor in Slack."""
    slack, sift = world.slack, world.sift
    told = repr((slack.channels, slack.homes, slack.modals)).encode()
    places = {"Slack": told, **world.contents()}
    for secret in (slack.bot_token, slack.signing_secret, sift.api_key):
        for name, held in places.items():
            if secret.encode() in held:
                world.violated("no secret turns up", f"one does in {name}")


def nothing_acknowledged_is_lost(world: World, delivered: list[Delivered], told: Collection[str] = ()) -> None:
    """Whatever asked for a retry and was acknowledged is on record, or the person was told.

    Args:
        told: whom the bot tried to tell that it could not be recorded, whether or not Slack was there.
    """
    keys = {
        row["delivery_key"]
        for row in world.rows("SELECT delivery_key FROM retries UNION SELECT delivery_key FROM batches")
    }
    for one in delivered:
        wanted = _key(one) if one.acked and not _told(one) else None
        if wanted is not None and wanted not in keys and not _was_told_later(world, one, told):
            world.violated("nothing acknowledged is lost", f"{wanted} was acknowledged, and nobody knows of it")


def a_redelivery_does_nothing(world: World, delivered: list[Delivered]) -> None:
    """What was delivered several times is on record once: there are no more requests than there were wishes."""
    keys = {key for one in delivered if (key := _key(one)) is not None and one.payload.get("command")}
    commands = "SELECT id FROM retries WHERE source = 'command' AND batch_id IS NULL UNION ALL SELECT id FROM batches"
    recorded = len(world.rows(f"{commands} WHERE source = 'command'"))
    if recorded > len(keys):
        world.violated("a redelivery does nothing", f"{recorded} requests on record, of {len(keys)} commands")


def nothing_denied_is_done(world: World, delivered: list[Delivered]) -> None:
    """Whoever was told that nothing was recorded was told the truth."""
    for one in delivered:
        if "could not be recorded" not in str(one.body):
            continue
        for row in world.rows("SELECT id FROM retries WHERE delivery_key = ?", _key(one)):
            again = sum(other.payload is one.payload for other in delivered) > 1
            if not again:
                world.violated(
                    "nothing denied is done", f"{row['id']} is on record, and its requester was told it is not"
                )


def _key(delivered: Delivered) -> str | None:
    """What a request that asks for a retry is recorded by; None: it asks for something else."""
    payload = delivered.payload
    if "command" in payload:
        return f"command:{payload['trigger_id']}" if _JOB.match(payload["text"]) else None
    event = payload.get("event", {})
    if event.get("type") == "app_mention":
        return f"mention:{event['channel']}:{event['ts']}"
    action = (payload.get("actions") or [{}])[0]
    if action.get("action_id") in ("retry_job", "retry"):
        where = payload["container"]
        user = payload["user"]["id"]
        return f"click:{where['channel_id']}:{where['message_ts']}:{action['action_ts']}:{user}"
    return None


def _told(delivered: Delivered) -> bool:
    return bool(delivered.body)


def _was_told_later(world: World, delivered: Delivered, told: Collection[str]) -> bool:
    payload = delivered.payload
    if "command" in payload:
        return False  # whose ack says it
    user_id = payload.get("user_id") or payload.get("user", {}).get("id") or payload.get("event", {}).get("user")
    return bool(user_id in told or world.slack.ephemerals(user_id) or world.slack.dm(user_id).messages)


def nothing_goes_on_beside(world: World) -> None:
    """At rest a process does what it does when nobody asks anything of it, and nothing more."""
    for replica in world.replicas:
        pending = [task for task in world.loop.tasks if task.process is replica.process and not task.done()]
        names = [getattr(task.get_coro(), "__qualname__", "") for task in pending]
        beside = [name for name in names if name not in AT_REST]
        if len(beside) > MOST_BESIDE or names.count("Event.wait") > 2 * names.count("Loop.run") + MOST_BESIDE:
            world.violated("nothing goes on beside", f"{replica.process.name}: {len(names)} tasks, such as {beside}")


def nothing_is_left_running(world: World) -> None:
    """A process that has ended leaves nothing that goes on."""
    for replica in world.replicas:
        left = [task for task in world.loop.tasks if task.process is replica.process and not task.done()]
        if left:
            world.violated(
                "nothing is left running", f"{replica.process.name}: {[str(task.get_coro()) for task in left]}"
            )


INVARIANTS: tuple[Callable[..., None], ...] = (
    marked_before_it_is_sent,
    no_request_is_sent_twice,
    nothing_is_sent_for_whom_policy_denies,
    nothing_is_sent_without_its_second_person,
    one_retry_of_a_job_under_way,
    every_request_tells_its_story,
    the_audit_is_whole,
    one_message_per_thing_to_show,
    every_alert_is_shown,
    no_secret_turns_up,
    nothing_acknowledged_is_lost,
    a_redelivery_does_nothing,
    nothing_denied_is_done,
    nothing_goes_on_beside,
    nothing_is_left_running,
)
