"""Links into Sift's web app."""

from datetime import UTC, datetime

import pytest

from bot.sift import web

APP = "https://app.siftstack.com"


def test_pages_are_where_sifts_own_tools_say() -> None:
    assert web.run_url(APP, "r 1/2") == f"{APP}/run/r%201%2F2"
    assert web.asset_url(APP, "a1") == f"{APP}/asset/a1"
    assert web.report_url(APP, "p1") == f"{APP}/reports/p1"
    assert web.rule_url(APP, "u1|>") == f"{APP}/rules/u1%7C%3E"


def test_a_window_is_explored_in_its_time() -> None:
    window = datetime(2026, 11, 20, 8, 33, tzinfo=UTC), datetime(2026, 11, 20, 8, 48, 0, 500_000, tzinfo=UTC)
    assert web.explore_url(APP, ["r1"], ["a1", "a2"], window) == (
        f"{APP}/explore?method=single&assets=a1%2Ca2&runs=r1&panelType=timeseries"
        "&startTime=2026-11-20T08%3A33%3A00.000Z&endTime=2026-11-20T08%3A48%3A00.500Z"
    )
    assert web.explore_url(APP, ["r1"], [], None) == f"{APP}/explore?method=single&runs=r1&panelType=timeseries"


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        (f"{APP}/explore?x=1&y=%7B2%7D", f"{APP}/explore?x=1&y=%7B2%7D"),
        (f"{APP}/explore?x=<!channel>|evil", f"{APP}/explore?x=%3C!channel%3E%7Cevil"),
        ("https://evil.example/explore", None),
        (f"{APP}.evil.example/", None),
        ("javascript:alert(1)", None),
        ("https://[", None),
        ("", None),
    ],
)
def test_a_ready_made_link_leads_into_sift_or_nowhere(link: str, shown: str | None) -> None:
    assert web.ready_made(APP, link) == shown
    assert web.ready_made(None, link) is None
