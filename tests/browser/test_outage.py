"""Many jobs fail at once: one message, and one press for all of them."""

from playwright.async_api import expect

from tests.browser.people import PHONE, Desk


async def test_an_outage_is_one_message_and_is_handled_with_one_press_on_a_phone(desk: Desk) -> None:
    person = await desk.sit_down(size=PHONE)
    await person.alert()
    await person.page.get_by_test_id("open-sift").click()
    await person.page.get_by_test_id("sift-outage").click()
    await person.page.get_by_label("Close the Sift panel").click()
    storm = person.messages.filter(has_text="25 jobs failed")
    await expect(storm).to_have_count(1)
    await expect(person.messages).to_have_count(2)
    await storm.get_by_role("button", name="Retry all").click()
    await person.page.get_by_test_id("confirm-ok").click()
    await expect(storm.get_by_role("button", name="Retry all")).to_have_count(0)
    thread = await person.open_thread(storm)
    await expect(thread.filter(has_text="25")).not_to_have_count(0)
