"""Where links lead."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Workspace:
    """Where the bot's token belongs (`auth.test`)."""

    team_id: str
    url: str
    bot_user_id: str
    bot_id: str
    scopes: frozenset[str]
    enterprise_id: str | None = None

    def link(self, channel_id: str | None, ts: str | None) -> str | None:
        """A message's permalink, in the form `chat.getPermalink` gives."""
        return permalink(self.url, channel_id, ts) if channel_id and ts else None


def permalink(workspace_url: str, channel_id: str, ts: str) -> str:
    """A message's permalink."""
    return f"{workspace_url}archives/{channel_id}/p{ts.replace('.', '')}"


@dataclass(frozen=True)
class Place:
    """Where links lead: this Slack workspace and, where known, Sift's web app."""

    workspace: Workspace
    sift_app_url: str | None
