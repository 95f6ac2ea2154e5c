"""The modal of the command alone, and that of the message shortcut."""

from playwright.async_api import expect

from tests.browser.people import Desk


async def test_jobs_are_picked_in_a_modal_and_retried_together(desk: Desk) -> None:
    person = await desk.sit_down()
    await person.alert()
    await person.say("/sift-retry")
    modal = person.page.get_by_test_id("modal")
    boxes = modal.get_by_role("checkbox")
    await expect(boxes).not_to_have_count(0)
    await boxes.nth(0).check()
    await boxes.nth(1).check()
    await modal.get_by_label("Reason").fill("sensor is back")
    await person.press_in_modal()
    await expect(person.messages.filter(has_text="sensor is back")).to_have_count(1)


async def test_what_is_wrong_is_said_at_the_field_and_what_was_typed_stays(desk: Desk) -> None:
    person = await desk.sit_down()
    await person.say("/sift-retry")
    modal = person.page.get_by_test_id("modal")
    await modal.get_by_label("Job IDs").fill("no job at all")
    await person.page.get_by_test_id("modal-submit").click()
    await expect(modal.get_by_test_id("error")).to_be_visible()
    await expect(modal.get_by_label("Job IDs")).to_have_value("no job at all")
    await person.press_in_modal("modal-close")


async def test_the_shortcut_of_a_message_finds_the_job_in_it(desk: Desk) -> None:
    person = await desk.sit_down()
    job_id = await person.failed_job(1)
    await person.say(f"look at {job_id}, please")
    message = person.messages.filter(has_text="please")
    await message.hover()
    await message.get_by_test_id("menu").click()
    await message.get_by_test_id("shortcut").click()
    modal = person.page.get_by_test_id("modal")
    await expect(modal).to_contain_text("Retry")
    await person.press_in_modal()
    await person.open_thread(message)
    await expect(person.page.get_by_test_id("thread").filter(has_text=job_id)).not_to_have_count(0)
