"""`sift-retry demo`: the very same bot, against the embedded Slack and the embedded Sift."""

import asyncio
import sys

from sqlalchemy import Connection

from bot.access import grants
from bot.access.policy import Role
from bot.app.bot import Bot
from bot.app.server import serving
from bot.base import logs
from bot.base.clock import utc_now
from bot.sandbox import AUDITOR, LAUNCH_OPS, ON_CALL_GROUP, OPERATOR, SECOND_OPERATOR, Sandbox
from bot.settings import Settings, load

_ALERTS = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "2", "FOLLOW_POLL_SECONDS": "1"}
_ON_CALL = {
    "REMIND_AFTER": "5m",
    "ONCALL_GROUP": ON_CALL_GROUP,
    "DIGEST_AT": "08:00,20:00",
    "NOTIFY_CREATOR": "on",
}
_GRANTS = {OPERATOR: Role.OPERATOR, SECOND_OPERATOR: Role.OPERATOR, AUDITOR: Role.AUDITOR}


async def run_demo(stop: asyncio.Event) -> None:
    """Serves the sandbox's page, and the bot behind it, until `stop` is set."""
    sandbox = Sandbox()
    address = load(Settings, sandbox.environment("http://127.0.0.1"))
    logs.configure(address.log_level, address.log_format, address.redactor().scrub)
    async with serving(sandbox.app, address.host, address.port) as url:
        here = url.replace("//0.0.0.0:", "//127.0.0.1:")
        settings = load(Settings, {**sandbox.environment(here), **_ALERTS, **_ON_CALL, "SIFT_APP_URL": here})
        with Bot(settings) as bot:
            with bot.database.transaction() as connection:
                _allow_the_cast(connection)
            sandbox.fallback = bot.http
            sys.stderr.write(f"\nThe demo is at {url}/ (Ctrl-C ends it)\n\n")
            await bot.work(stop)


def _allow_the_cast(connection: Connection) -> None:
    """Puts the sandbox's operators and its auditor on the allow-list, once."""
    listed = {grant.subject for grant in grants.listed(connection)}
    for subject, role in _GRANTS.items():
        if subject not in listed:
            new = grants.NewGrant(subject=subject, role=role, granted_by="cli:demo", reason="the demo's cast")
            grants.grant(connection, new, utc_now())
