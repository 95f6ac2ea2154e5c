"""The Home tab: what somebody may do here, and their last requests."""

from bot.access import Access
from bot.clock import Clock
from bot.database import Database
from bot.policy import Right, Wish
from bot.presenter.views import home_view
from bot.record import latest_of
from bot.slack import Slack


class Home:
    """Publishes Home tabs.

    Args:
        workspace: the Slack workspace whose people may be allowed.
    """

    def __init__(self, database: Database, slack: Slack, access: Access, workspace: str, clock: Clock) -> None:
        self._database = database
        self._slack = slack
        self._access = access
        self._workspace = workspace
        self._clock = clock

    async def show(self, user_id: str, team_id: str) -> None:
        """Publishes somebody's Home tab as it should be now."""
        now = self._clock()
        person = await self._slack.person(user_id, team_id)
        wish = Wish(right=Right.RETRY, workspace=self._workspace, at=now)
        decision = await self._access.decide(wish, person, user_id)
        recent = await self._database.run(lambda connection: latest_of(connection, user_id))
        admins = await self._database.run(lambda connection: self._access.who_may_grant(connection, now))
        await self._slack.publish_home(user_id, home_view(decision, recent, admins))
