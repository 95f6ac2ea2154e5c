"""`sift-retry run` that calls Slack as fast as it can: `python -m bench.unpaced`.

Twenty people who type in one channel would otherwise be measured by Slack's limit of one post a second.
"""

import sys
from functools import partial

import bench.bare  # noqa: F401  # before the bot
from bot.__main__ import main
from bot.app import bot


def run_unpaced() -> None:
    """Runs the bot until it is stopped."""
    vars(bot)["Bot"] = partial(bot.Bot, rates={})
    sys.argv[1:] = ["run"]
    main()


if __name__ == "__main__":
    run_unpaced()
