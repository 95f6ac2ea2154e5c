"""The page."""
from typing import Any

from starlette.routing import BaseRoute


def page_routes(slack: Any, sift: Any) -> list[BaseRoute]:
    return []
