"""Has a process import what a plain installation holds: structlog imports rich where the tools of the tests brought it.

To be imported before the bot.
"""

import sys

sys.modules["rich"] = None  # type: ignore[assignment]  # so importing it fails, as it does where it is not installed
