"""A failure waits on the first page; one press retries it, and everybody sees by whom."""

from playwright.async_api import expect

from bot.sandbox import ADMIN
from tests.browser.people import Desk


async def test_a_press_on_the_alert_retries_it_and_takes_the_button_away_from_everybody(desk: Desk) -> None:
    person, other = await desk.sit_down(), await desk.sit_down(ADMIN)
    alert, seen = await person.alert(), await other.alert()
    await alert.get_by_test_id("action-retry").click()
    for window in (alert, seen):
        await expect(window).to_contain_text("@Operator")
        await expect(window.get_by_test_id("action-retry")).to_have_count(0)
    thread = await other.open_thread(seen)
    await expect(thread.filter(has_text="Finished")).not_to_have_count(0)


async def test_links_to_a_message_open_it_in_the_page_and_links_into_sift_lead_somewhere(desk: Desk) -> None:
    person = await desk.sit_down()
    await person.open_thread(await person.alert())
    links = person.page.locator("#region-messages a[href], #region-thread a[href]")
    addresses = {str(await link.get_attribute("href")) for link in await links.all()}
    assert any("/run/" in address for address in addresses)
    for address in addresses:
        response = await person.page.request.get(person.demo + address if address.startswith("/") else address)
        assert response.status == 200, address
        assert "<h1>" in await response.text(), address
