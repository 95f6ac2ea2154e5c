"""What goes over the wire between the bot and the embedded Slack and Sift."""

from typing import Any

Payload = dict[str, Any]
"""A JSON object, as Slack or Sift send it and take it."""
