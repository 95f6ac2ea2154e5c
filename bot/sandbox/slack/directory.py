"""Who and what is in the embedded workspace: people of every kind, user groups, channels."""

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.sandbox.payload import Payload
from bot.sandbox.slack.messages import Message

TEAM = "T0SANDBOX"
TEAM_DOMAIN = "sandbox"
ELSEWHERE = "T0ELSEWHERE"
APP = "A0SIFTRETRY"
BOT = "B0SIFTRETRY"
BOT_USER = "U0RETRYBOT"
SLACKBOT = "USLACKBOT"

ADMIN = "U0ADMIN"
OPERATOR = "U0OPERATOR"
SECOND_OPERATOR = "U0OPERATOR2"
UNLISTED = "U0UNLISTED"
AUDITOR = "U0AUDITOR"
SINGLE_CHANNEL_GUEST = "U0GUEST"
MULTI_CHANNEL_GUEST = "U0MULTIGUEST"
DEACTIVATED = "U0DEACTIVATED"
OTHER_BOT = "U0OTHERBOT"
STRANGER = "U0STRANGER"

OPERATORS_GROUP = "S0OPERATORS"
ON_CALL_GROUP = "S0ONCALL"

LAUNCH_OPS = "C0LAUNCHOPS"
DATA_IMPORTS = "C0DATAIMPORTS"
PRIVATE = "C0PRIVATE"
SHARED = "C0SHARED"


@dataclass
class User:
    """Somebody in the workspace, or somebody from elsewhere in a shared channel.

    Args:
        handle: what follows the `@` when somebody writes to them.
        title: what they are, as the demo page tells it.
    """

    id: str
    handle: str
    name: str
    title: str = ""
    tz: str = "America/Los_Angeles"
    team_id: str = TEAM
    deleted: bool = False
    is_admin: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False

    @property
    def is_guest(self) -> bool:
        """Whether they see only the channels they are in."""
        return self.is_restricted or self.is_ultra_restricted or self.is_stranger

    @property
    def email(self) -> str:
        """Their e-mail address; nobody writes to a bot."""
        return "" if self.is_bot else f"{self.handle}@sandbox.example"

    @property
    def zone(self) -> ZoneInfo:
        """Their time zone; UTC on a machine without time zone data."""
        try:
            return ZoneInfo(self.tz)
        except ZoneInfoNotFoundError:
            return ZoneInfo("UTC")

    @property
    def place(self) -> str:
        """The city that their time zone is named for."""
        return self.tz.rpartition("/")[2].replace("_", " ")

    def as_slack(self, *, with_email: bool, at: datetime) -> Payload:
        """The user as `users.info` answers."""
        offset = at.astimezone(self.zone).utcoffset()
        profile = {"real_name": self.name, "display_name": self.name, "team": self.team_id, "title": self.title}
        if with_email and self.email:
            profile["email"] = self.email
        return {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.handle,
            "real_name": self.name,
            "deleted": self.deleted,
            "tz": self.tz,
            "tz_offset": int(offset.total_seconds()) if offset else 0,
            "profile": profile,
            "is_admin": self.is_admin,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": self.is_restricted or self.is_ultra_restricted,
            "is_ultra_restricted": self.is_ultra_restricted,
            "is_bot": self.is_bot,
            "is_app_user": False,
            **({"is_stranger": True} if self.is_stranger else {}),
        }


@dataclass
class UserGroup:
    """A user group; change `members` and the next call sees it."""

    id: str
    handle: str
    name: str
    members: list[str]

    def as_slack(self) -> Payload:
        """The group as `usergroups.list` answers."""
        return {
            "id": self.id,
            "team_id": TEAM,
            "is_usergroup": True,
            "name": self.name,
            "handle": self.handle,
            "date_delete": 0,
            "user_count": len(self.members),
        }


@dataclass
class Channel:
    """A channel, or a person's direct messages with the app.

    Args:
        person: whose direct messages these are; None for a channel.
        messages: what everybody in it sees, oldest first, replies included.
        ephemerals: what one person sees, oldest first.
    """

    id: str
    name: str
    members: set[str]
    is_private: bool = False
    is_ext_shared: bool = False
    is_archived: bool = False
    person: str | None = None
    messages: list[Message] = field(default_factory=list)
    ephemerals: list[Message] = field(default_factory=list)

    def visible_to(self, user: User) -> bool:
        """Whether somebody sees it: members do, and everybody but guests sees public channels."""
        return user.id in self.members or not (self.is_private or self.person or user.is_guest)

    def find(self, ts: str) -> Message | None:
        """The message, private or not, of that time."""
        return next((message for message in [*self.messages, *self.ephemerals] if message.ts == ts), None)

    def thread(self, ts: str) -> list[Message]:
        """A message and its replies, oldest first; empty if there is no such message."""
        return [message for message in self.messages if ts in (message.ts, message.thread_ts)]


def cast() -> list[User]:
    """Everybody, anew: one of each kind that the bot has to tell apart."""
    return [
        User(OPERATOR, "operator", "Operator", "May retry jobs"),
        User(SECOND_OPERATOR, "operator2", "Second Operator", "May retry jobs", tz="America/New_York"),
        User(ADMIN, "admin", "Admin", "Grants access", tz="America/Chicago", is_admin=True),
        User(AUDITOR, "auditor", "Auditor", "Reads the audit log", tz="Europe/London"),
        User(UNLISTED, "engineer", "Engineer", "Not on the allow-list", tz="Asia/Tokyo"),
        User(SINGLE_CHANNEL_GUEST, "guest", "Guest", "Single-channel guest", is_ultra_restricted=True),
        User(MULTI_CHANNEL_GUEST, "contractor", "Contractor", "Multi-channel guest", is_restricted=True),
        User(STRANGER, "partner", "Partner", "From another workspace", team_id=ELSEWHERE, is_stranger=True),
        User(DEACTIVATED, "former-operator", "Former Operator", "Deactivated", deleted=True),
        User(OTHER_BOT, "pager", "Pager", "Another app", is_bot=True),
        User(BOT_USER, "sift-retry", "Sift Retry", "The app", is_bot=True),
        User(SLACKBOT, "slackbot", "Slackbot"),
    ]


def user_groups() -> list[UserGroup]:
    """The user groups, anew."""
    return [
        UserGroup(OPERATORS_GROUP, "sift-operators", "Sift operators", [OPERATOR, SECOND_OPERATOR]),
        UserGroup(ON_CALL_GROUP, "on-call", "On call", [SECOND_OPERATOR]),
    ]


def channels() -> list[Channel]:
    """The channels, anew: the bot is in some, may join one, and is kept out of one."""
    staff = {OPERATOR, SECOND_OPERATOR, ADMIN, AUDITOR, UNLISTED, DEACTIVATED}
    return [
        Channel(LAUNCH_OPS, "launch-ops", staff | {BOT_USER, OTHER_BOT, SINGLE_CHANNEL_GUEST, MULTI_CHANNEL_GUEST}),
        Channel(DATA_IMPORTS, "data-imports", staff | {OTHER_BOT, MULTI_CHANNEL_GUEST}),
        Channel(PRIVATE, "control-room", {OPERATOR, ADMIN, UNLISTED}, is_private=True),
        Channel(SHARED, "range-partners", staff | {BOT_USER, STRANGER}, is_ext_shared=True),
    ]
