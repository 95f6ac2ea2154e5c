"""What people type, turned into what Slack hands on: mentions, links, escapes."""

import re
from collections.abc import Iterable, Mapping

from bot.sandbox.slack.directory import Channel, User, UserGroup

_BROADCASTS = {"@here": "<!here>", "@channel": "<!channel>", "@everyone": "<!everyone>"}


def escape(text: str) -> str:
    """Replaces Slack's three control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def in_command(text: str, users: Iterable[User], groups: Iterable[UserGroup], channels: Iterable[Channel]) -> str:
    """The text of a slash command registered with `should_escape: true`: every name becomes `<ID|label>`."""
    names = {f"@{name}": f"<@{user.id}|{user.handle}>" for user in users for name in (user.handle, user.name)}
    names |= {f"@{group.handle}": f"<!subteam^{group.id}|@{group.handle}>" for group in groups}
    names |= {f"#{channel.name}": f"<#{channel.id}|{channel.name}>" for channel in channels}
    return _replace(text, names)


def in_message(text: str, users: Iterable[User], groups: Iterable[UserGroup], channels: Iterable[Channel]) -> str:
    """The text of a message: every name becomes its ID."""
    names = {f"@{name}": f"<@{user.id}>" for user in users for name in (user.handle, user.name)}
    names |= {f"@{group.handle}": f"<!subteam^{group.id}>" for group in groups}
    names |= {f"#{channel.name}": f"<#{channel.id}|>" for channel in channels}
    return _replace(text, names)


def _replace(text: str, names: Mapping[str, str]) -> str:
    """Escapes a text, but for the names and web addresses in it."""
    known = {name.lower(): markup for name, markup in {**names, **_BROADCASTS}.items()}
    longest_first = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    pattern = re.compile(rf"(?P<url>https?://[^\s<>|]+)|(?<![\w.@])(?P<name>{longest_first})(?![\w-])", re.IGNORECASE)
    pieces: list[str] = []
    end = 0
    for match in pattern.finditer(text):
        pieces.append(escape(text[end : match.start()]))
        pieces.append(f"<{escape(match[0])}>" if match["url"] else known[match[0].lower()])
        end = match.end()
    return "".join([*pieces, escape(text[end:])])
