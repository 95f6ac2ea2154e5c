"""Slack's text format → HTML, as one person reads it. Everything is escaped; only the tags written here are markup."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from markupsafe import Markup, escape

from bot.sandbox.slack.directory import User
from bot.sandbox.slack.methods import URL
from bot.sandbox.slack.state import WorkspaceState

EMOJI = {
    "alarm_clock": "⏰",
    "arrow_right": "➡️",
    "arrows_counterclockwise": "🔄",
    "bar_chart": "📊",
    "bell": "🔔",
    "anchor": "⚓",
    "bulb": "💡",
    "bust_in_silhouette": "👤",
    "busts_in_silhouette": "👥",
    "chart_with_upwards_trend": "📈",
    "clipboard": "📋",
    "clock1": "🕐",
    "closed_lock_with_key": "🔐",
    "eyes": "👀",
    "fire": "🔥",
    "gear": "⚙️",
    "grey_question": "❔",
    "heavy_check_mark": "✔️",
    "hourglass": "⌛",
    "hourglass_flowing_sand": "⏳",
    "inbox_tray": "📥",
    "information_source": "ℹ️",
    "key": "🔑",
    "large_blue_circle": "🔵",
    "large_green_circle": "🟢",
    "large_yellow_circle": "🟡",
    "lock": "🔒",
    "mag": "🔍",
    "mute": "🔇",
    "no_bell": "🔕",
    "no_entry": "⛔",
    "no_entry_sign": "🚫",
    "outbox_tray": "📤",
    "package": "📦",
    "page_facing_up": "📄",
    "question": "❓",
    "raising_hand": "🙋",
    "zzz": "💤",
    "newspaper": "📰",
    "card_file_box": "🗃️",
    "adhesive_bandage": "🩹",
    "recycle": "♻️",
    "red_circle": "🔴",
    "repeat": "🔁",
    "rocket": "🚀",
    "rotating_light": "🚨",
    "satellite": "📡",
    "scroll": "📜",
    "shield": "🛡️",
    "stopwatch": "⏱️",
    "tada": "🎉",
    "test_tube": "🧪",
    "thumbsup": "👍",
    "warning": "⚠️",
    "wastebasket": "🗑️",
    "wave": "👋",
    "white_check_mark": "✅",
    "white_circle": "⚪",
    "wrench": "🔧",
    "x": "❌",
}

_PIECES = re.compile(
    r"```(?P<pre>.+?)```"
    r"|`(?P<code>[^`\n]+)`"
    r"|<(?P<angle>[^<>\n]+)>"
    r"|(?<![\w*])\*(?P<bold>(?=\S)[^*\n]+?(?<=\S))\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>(?=\S)[^_\n]+?(?<=\S))_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>(?=\S)[^~\n]+?(?<=\S))~(?![\w~])"
    r"|:(?P<emoji>[a-z0-9_+-]+):"
    r"|(?P<url>https?://[^\s<>|*`]*[^\s<>|*`.,;:!?)'\"])"
    r"|(?P<quote>^(?:&gt;|>) ?[^\n]*(?:\n(?:&gt;|>) ?[^\n]*)*\n?)"
    r"|(?P<newline>\n)",
    re.DOTALL | re.MULTILINE,
)
_EMOJI = re.compile(r":([a-z0-9_+-]+):")
_PERMALINK = re.compile(re.escape(URL) + r"archives/(?P<channel>\w+)/p(?P<seconds>\d+)(?P<fraction>\d{6})\b")
_BROADCASTS = ("here", "channel", "everyone")


@dataclass(frozen=True)
class Reader:
    """Who reads, and what they need for it: names, and their own time zone."""

    state: WorkspaceState
    user: User

    def html(self, text: str) -> Markup:
        """A `mrkdwn` text as HTML."""
        pieces: list[str] = []
        end = 0
        for match in _PIECES.finditer(text):
            pieces.append(_plain(text[end : match.start()]))
            pieces.append(self._piece(str(match.lastgroup), match[str(match.lastgroup)]))
            end = match.end()
        return Markup("").join([*pieces, _plain(text[end:])])

    def when(self, ts: str | float, form: str = "{time}") -> str:
        """A moment in the reader's time zone.

        Args:
            form: with Slack's own names in braces, such as `{date_short_pretty}`.
        """
        now = self.state.clock().astimezone(self.user.zone)
        moment = datetime.fromtimestamp(float(ts), self.user.zone)
        return re.sub(r"\{(\w+)\}", lambda name: _date_part(name[1], moment, now) or name[0], form)

    def name(self, user_id: str) -> str:
        """What somebody is called."""
        user = self.state.users.get(user_id)
        return user.name if user else user_id

    def address(self, url: str) -> str:
        """Where an address leads on this page: what is in the workspace is read here, as Slack does in its app."""
        found = _PERMALINK.match(url)
        if found is None:
            return url
        ts = f"{found['seconds']}.{found['fraction']}"
        channel = self.state.channels.get(found["channel"])
        message = channel.find(ts) if channel else None
        thread = (message.thread_ts or ts) if message else ts
        return "/?" + urlencode({"as": self.user.id, "channel": found["channel"], "thread": thread})

    def _link(self, url: str, text: str) -> Markup:
        here = self.address(url)
        return link(url, text) if here == url else Markup('<a href="{}">{}</a>').format(here, text)

    def _piece(self, kind: str, text: str) -> Markup:
        match kind:
            case "pre":
                return Markup("<pre>{}</pre>").format(self._verbatim(text.strip("\n")))
            case "code":
                return Markup("<code>{}</code>").format(self._verbatim(text))
            case "angle":
                return self._angle(text)
            case "emoji":
                return Markup('<span class="emoji" title=":{}:">{}</span>').format(text, emoji(f":{text}:"))
            case "url":
                return self._link(text, _plain(text))
            case "newline":
                return Markup("<br>")
            case "quote":
                lines = re.sub(r"^(?:&gt;|>) ?", "", text.rstrip("\n"), flags=re.MULTILINE)
                return Markup("<blockquote>{}</blockquote>").format(self.html(lines))
        tag = {"bold": "b", "italic": "i", "strike": "s"}[kind]
        return Markup("<{0}>{1}</{0}>").format(Markup(tag), self.html(text))  # noqa: S704  # one of three literals

    def _verbatim(self, text: str) -> Markup:
        """Code: no formatting, but what stands in angle brackets is still read as what it says."""
        return Markup("").join(
            self._angle(piece[1:-1]) if re.fullmatch(r"<[^<>\n]+>", piece) else _plain(piece)
            for piece in re.split(r"(<[^<>\n]+>)", text)
        )

    def _angle(self, inside: str) -> Markup:
        """A link, mention or date in angle brackets."""
        target, _, label = inside.partition("|")
        kind, identity = target[:1], target[1:]
        if kind == "@":
            return self._mention("@" + self.name(identity), is_me=identity == self.user.id)
        if kind == "#":
            channel = self.state.channels.get(identity)
            return self._mention("#" + (channel.name if channel else unescape(label) or identity))
        if kind == "!":
            return self._special(identity, label)
        return self._link(unescape(target), _plain(label) if label else _plain(target.removeprefix("mailto:")))

    def _special(self, command: str, label: str) -> Markup:
        name, _, rest = command.partition("^")
        if name in _BROADCASTS:
            return self._mention(f"@{name}", is_me=True)
        if name == "subteam":
            group = self.state.groups.get(rest)
            is_me = group is not None and self.user.id in group.members
            return self._mention(f"@{group.handle}" if group else unescape(label) or rest, is_me=is_me)
        if name == "date":
            return self._date(rest, label)
        return _plain(label or f"<{command}>")

    def _date(self, rest: str, fallback: str) -> Markup:
        stamp, _, form = rest.partition("^")
        form, _, target = form.partition("^")
        if not re.fullmatch(r"[0-9]{1,11}", stamp):
            return _plain(fallback)
        text = Markup('<time title="{}">{}</time>').format(unescape(fallback), self.when(stamp, unescape(form)))
        return self._link(unescape(target), text) if target else text

    def _mention(self, text: str, *, is_me: bool = False) -> Markup:
        return Markup('<span class="mention{}">{}</span>').format(" me" if is_me else "", text)


def plain(text_object: Mapping[str, object]) -> str:
    """A `plain_text` object as it reads: Slack undoes its escapes there too; markup it leaves alone."""
    text = unescape(str(text_object["text"]))
    return text if text_object.get("emoji") is False else emoji(text)


def link(address: str, text: str) -> Markup:
    """A link with a text, if it leads to the web; nothing else is ever made clickable.

    Args:
        text: escaped, unless it is HTML already.
    """
    if not address.lower().startswith(("https://", "http://", "mailto:")):
        return escape(text)
    return Markup('<a href="{}" target="_blank" rel="noopener noreferrer">{}</a>').format(address, text)


def emoji(text: str) -> str:
    """A plain text with the emoji names in it replaced, as far as they are known."""
    return _EMOJI.sub(lambda name: EMOJI.get(name[1], name[0]), text)


def unescape(text: str) -> str:
    """Undoes Slack's three escapes."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _plain(text: str) -> Markup:
    return escape(unescape(text))


def _date_part(name: str, moment: datetime, now: datetime) -> str | None:
    """One of the names in the format of a date."""
    part = _DATE_PARTS.get(name.removesuffix("_pretty"))
    if name == "ago":
        return _ago(now - moment)
    if name.endswith("_pretty"):
        days = (moment.date() - now.date()).days
        pretty = {0: "Today", -1: "Yesterday", 1: "Tomorrow"}.get(days)
        return pretty or (part(moment) if part else None)
    return part(moment) if part else None


def _ago(elapsed: timedelta) -> str:
    seconds = int(elapsed.total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' * (count > 1)} ago"
    return "just now"


def _clock_time(moment: datetime, seconds: str = "") -> str:
    return f"{moment.hour % 12 or 12}:{moment:%M}{seconds} {moment:%p}"


_DATE_PARTS: dict[str, Callable[[datetime], str]] = {
    "date_num": lambda moment: f"{moment:%Y-%m-%d}",
    "date_slash": lambda moment: f"{moment:%m/%d/%Y}",
    "date": lambda moment: f"{moment:%B} {moment.day}, {moment.year}",
    "date_short": lambda moment: f"{moment:%b} {moment.day}, {moment.year}",
    "date_long": lambda moment: f"{moment:%A, %B} {moment.day}, {moment.year}",
    "day_divider": lambda moment: f"{moment:%A, %B} {moment.day}",
    "time": _clock_time,
    "time_secs": lambda moment: _clock_time(moment, f":{moment:%S}"),
}
