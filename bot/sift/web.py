"""Where things of Sift's are seen in its web app. Pure.

Source: the URLs that Sift's own tools build (sift-stack-py); no page for a job or an import is known.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit


def run_url(app_url: str, run_id: str) -> str:
    """The page of a run."""
    return f"{app_url}/run/{quote(run_id, safe='')}"


def asset_url(app_url: str, asset_id: str) -> str:
    """The page of an asset."""
    return f"{app_url}/asset/{quote(asset_id, safe='')}"


def report_url(app_url: str, report_id: str) -> str:
    """The page of a report."""
    return f"{app_url}/reports/{quote(report_id, safe='')}"


def rule_url(app_url: str, rule_id: str) -> str:
    """The page of a rule."""
    return f"{app_url}/rules/{quote(rule_id, safe='')}"


def explore_url(
    app_url: str, run_ids: Sequence[str], asset_ids: Sequence[str], window: tuple[datetime, datetime] | None
) -> str:
    """The plot of a run's or an asset's data within a stretch of time."""
    asked = {"method": "single", "assets": ",".join(asset_ids), "runs": ",".join(run_ids), "panelType": "timeseries"}
    if window is not None:
        asked |= {"startTime": _moment(window[0]), "endTime": _moment(window[1])}
    return f"{app_url}/explore?{urlencode({name: value for name, value in asked.items() if value}, quote_via=quote)}"


def ready_made(app_url: str | None, link: str) -> str | None:
    """A link that Sift sent, if it leads into Sift's web app and can stand in a message; None if not."""
    try:
        parts, ours = urlsplit(link), urlsplit(app_url or "")
    except ValueError:
        return None
    inside = (parts.scheme, parts.netloc) == (ours.scheme, ours.netloc) and parts.scheme in ("http", "https")
    return quote(link, safe="%/:?#[]@!$&'()*+,;=~") if inside else None


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
