"""The Home tab."""

from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.app.desk import Desk


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers the opening of the Home tab."""

    async def on_home(event: dict[str, Any], body: dict[str, Any]) -> None:
        if event.get("tab") == "home" and isinstance(event.get("user"), str):
            desk.tasks.start(desk.home.show(event["user"], str(body.get("team_id") or "")), what="home")

    app.event("app_home_opened")(on_home)
