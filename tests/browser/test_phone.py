"""At the width of a phone: nothing is cut off at the side, and a finger hits what it aims at."""

from playwright.async_api import Page, expect

from bot.sandbox import ADMIN, OPERATOR
from tests.browser.people import PHONE, Desk

TARGETS = """() => {
  const cover = document.querySelector("dialog[open]") ?? document;
  const shown = [...cover.querySelectorAll("button, a[href], select, summary, textarea, input, label:has(input)")]
    .filter((element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
    .filter((element) => !element.matches(".skip, label input"))
    .filter((element) => !(element.matches("a") && element.closest(".text")));  // links within a sentence
  return shown.map((element) => {
    const box = element.getBoundingClientRect();
    const name = (element.ariaLabel || element.textContent).trim().slice(0, 30);
    return { name, width: box.width, height: box.height };
  }).filter(({ width, height }) => width < 44 || height < 44);
}"""
WIDER = "() => document.scrollingElement.scrollWidth - innerWidth"


async def fits(page: Page) -> None:
    """Everything can be hit, and nothing sticks out."""
    assert await page.evaluate(TARGETS) == []
    assert await page.evaluate(WIDER) == 0


async def test_an_operators_way_on_a_phone(desk: Desk) -> None:
    person = await desk.sit_down(size=PHONE)
    alert = await person.alert()
    await fits(person.page)
    await alert.get_by_test_id("menu").click()
    await fits(person.page)
    await alert.get_by_role("link", name="Reply in thread").click()
    await expect(person.page.get_by_test_id("thread")).not_to_have_count(0)
    await fits(person.page)
    await person.page.get_by_test_id("close-thread").click()
    await person.page.get_by_test_id("open-rail").click()
    await fits(person.page)
    await expect(person.page.locator(f"#as-{OPERATOR}")).to_contain_text("Los Angeles time")
    await person.page.get_by_label("Close the channel list").click()
    await person.page.get_by_test_id("open-sift").click()
    await fits(person.page)
    await person.page.get_by_label("Close the Sift panel").click()
    await person.say("/sift-retry")
    await expect(person.page.get_by_test_id("modal").get_by_role("checkbox")).not_to_have_count(0)
    await fits(person.page)


async def test_an_admins_way_on_a_phone(desk: Desk) -> None:
    person = await desk.sit_down(ADMIN, size=PHONE)
    home = await person.open_home()
    await fits(person.page)
    await home.get_by_role("button", name="Add").click()
    await expect(person.page.get_by_test_id("modal")).to_be_visible()
    await fits(person.page)
