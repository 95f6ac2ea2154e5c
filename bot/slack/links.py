"""Where links lead."""

from dataclasses import dataclass

from bot.slack.client import Workspace


@dataclass(frozen=True)
class Place:
    """Where links lead: this Slack workspace and, where known, Sift's web app."""

    workspace: Workspace
    sift_app_url: str | None
