"""Without a mouse: everything can be reached, is seen to have the focus, and lets go of it again."""

from playwright.async_api import Page, expect

from tests.browser.people import Desk

FOCUS = """() => {
  const style = getComputedStyle(document.activeElement);
  const on = document.activeElement;
  return { id: on.id, test: on.dataset.testid ?? "", seen: style.boxShadow !== "none" || style.outlineStyle !== "none",
           within: !!on.closest("dialog[open]") };
}"""


async def tab_to(page: Page, test_id: str, key: str = "Tab") -> None:
    """Goes on until something has the focus; each stop on the way is seen."""
    for _ in range(80):
        await page.keyboard.press(key)
        focus = await page.evaluate(FOCUS)
        assert focus["seen"] or "composer-text" in focus["test"], focus  # the composer's frame shows it
        if focus["test"] == test_id:
            return
    raise AssertionError(f"{test_id} cannot be reached")


async def test_a_failure_is_retried_by_keyboard_alone(desk: Desk) -> None:
    person = await desk.sit_down()
    alert = await person.alert()
    await expect(person.page.get_by_test_id("composer-text")).to_be_focused()
    await tab_to(person.page, "action-retry", "Shift+Tab")
    await person.page.keyboard.press("Enter")
    await expect(alert).to_contain_text("@Operator")
    await expect(alert.get_by_test_id("action-retry")).to_have_count(0)


async def test_a_modal_holds_the_focus_and_gives_it_back(desk: Desk) -> None:
    person = await desk.sit_down()
    box = person.page.get_by_test_id("composer-text")
    await box.fill("/sift-retry")
    await person.page.keyboard.press("Enter")
    modal = person.page.get_by_test_id("modal")
    await expect(modal).to_be_visible()
    for _ in range(12):
        assert (await person.page.evaluate(FOCUS))["within"]
        await person.page.keyboard.press("Tab")
        if await person.page.evaluate("document.activeElement === document.body"):  # the browser's own controls
            await person.page.keyboard.press("Tab")
    await person.page.keyboard.press("Escape")
    await expect(modal).to_have_count(0)
    await expect(box).to_be_focused()


async def test_the_skip_link_leads_to_the_message_box(desk: Desk) -> None:
    person = await desk.sit_down()
    await person.page.evaluate("document.activeElement.blur()")
    await person.page.get_by_text("Skip to the message box").focus()
    await person.page.keyboard.press("Enter")
    await expect(person.page.get_by_test_id("composer-text")).to_be_focused()
