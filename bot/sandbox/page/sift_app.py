"""What the links into Sift's web app lead to in the sandbox: small pages that say what they stand for."""

from collections.abc import Mapping
from html import escape
from typing import Protocol

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from bot.sandbox.sift.api import EmbeddedSift

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Sift sandbox</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 sans-serif; margin: 2rem auto; max-width: 40rem; padding: 0 1rem }}
</style>
<h1>{title}</h1>
<p>{kind} what this link leads to: Sift's web app would show it here.</p>
<dl>{facts}</dl>
<p><a href="/">Back to the workspace</a></p>
</html>
"""


class _Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str: ...


def _page(kind: str, title: str, facts: dict[str, str], status: int = 200) -> Response:
    shown = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return HTMLResponse(_PAGE.format(kind=kind, title=escape(title), facts=shown), status)


def sift_app_routes(sift: EmbeddedSift) -> list[BaseRoute]:
    """The pages that the bot links to, by the paths of Sift's own tools."""
    kinds: dict[str, tuple[str, Mapping[str, _Named]]] = {
        "run": ("A run", sift.runs),
        "asset": ("An asset", sift.assets),
        "reports": ("A report", sift.reports),
        "rules": ("A rule", sift.rules),
    }

    async def show(request: Request) -> Response:
        path, identifier = request.url.path.split("/")[1], request.path_params["id"]
        kind, known = kinds[path]
        found = known.get(identifier)
        if found is None:
            return _page("Nothing like that is", "Not found", {"ID": identifier}, 404)
        return _page(f"{kind} is", found.name, {"ID": identifier})

    async def explore(request: Request) -> Response:
        named: dict[str, _Named] = {**sift.runs, **sift.assets}
        asked = {
            name: ", ".join(named[one].name if one in named else one for one in value.split(","))
            for name, value in request.query_params.items()
        }
        return _page("A plot is", "Explore", asked)

    return [*(Route(f"/{path}/{{id}}", show) for path in kinds), Route("/explore", explore)]
