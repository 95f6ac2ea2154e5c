"""For screen readers and weak eyes: axe finds nothing, in light and in dark."""

from importlib import resources
from typing import Any, Literal

import pytest
from playwright.async_api import Page, expect

from bot.sandbox import ADMIN
from tests.browser.people import DESKTOP, PHONE, Desk

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
RUN = "() => axe.run({ resultTypes: ['violations'] })"


async def problems(page: Page) -> list[str]:
    """What axe finds on the page as it is now."""
    await page.evaluate(AXE)
    await page.evaluate("() => Promise.all(document.getAnimations().map((one) => one.finished))")
    found: dict[str, Any] = await page.evaluate(RUN)
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found["violations"] for node in rule["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_axe_finds_nothing(desk: Desk, scheme: Literal["light", "dark"], size: tuple[int, int]) -> None:
    person = await desk.sit_down(size=size, scheme=scheme)
    alert = await person.alert()
    assert await problems(person.page) == []
    await person.open_thread(alert)
    assert await problems(person.page) == []
    await person.look_at()
    await person.say("/sift-retry help")
    await expect(person.whispered).not_to_have_count(0)
    await person.say("/sift-retry")
    await expect(person.page.get_by_test_id("modal").get_by_role("checkbox")).not_to_have_count(0)
    assert await problems(person.page) == []
    await person.press_in_modal("modal-close")
    admin = await desk.sit_down(ADMIN, size=size, scheme=scheme)
    home = await admin.open_home()
    assert await problems(admin.page) == []
    await home.get_by_role("button", name="Add").click()
    await expect(admin.page.get_by_test_id("modal")).to_be_visible()
    assert await problems(admin.page) == []
    await admin.press_in_modal("modal-close")


async def test_dark_is_dark(desk: Desk) -> None:
    light, dark = await desk.sit_down(), await desk.sit_down(scheme="dark")
    paper = "() => getComputedStyle(document.body).backgroundColor"
    assert await light.page.evaluate(paper) == "rgb(255, 255, 255)"
    assert await dark.page.evaluate(paper) == "rgb(26, 29, 33)"
