"""Somebody types the command, and everybody in the channel sees what comes of it."""

from playwright.async_api import expect

from bot.sandbox import ADMIN
from tests.browser.people import Desk


async def test_a_command_is_filled_in_from_the_panel_and_followed_to_its_end(desk: Desk) -> None:
    person, other = await desk.sit_down(), await desk.sit_down(ADMIN)
    job = person.page.locator('[data-testid=job][data-status="failed"]').last
    job_id = await job.get_attribute("data-job")
    await job.get_by_test_id("use").click()
    box = person.page.get_by_test_id("composer-text")
    await expect(box).to_have_value(f"/sift-retry {job_id}")
    await expect(box).to_be_focused()
    await box.press("End")
    await box.type(" the file is whole now")
    await box.press("Enter")
    for window in (person, other):
        root = window.messages.filter(has_text="the file is whole now")
        await expect(root).to_have_count(1)
        thread = await window.open_thread(root)
        await expect(thread.filter(has_text="Finished")).not_to_have_count(0)
    await expect(person.page.locator(f'[data-job="{job_id}"] [data-testid=job-status]')).to_have_text("finished")


async def test_what_is_no_command_is_told_at_once_and_privately(desk: Desk) -> None:
    person, other = await desk.sit_down(), await desk.sit_down(ADMIN)
    await person.say("/sift-retry nonsense")
    await expect(person.whispered.last).to_contain_text("nonsense")
    await expect(other.messages.filter(has_text="nonsense")).to_have_count(0)


async def test_in_a_thread_a_mention_does_what_the_command_does(desk: Desk) -> None:
    person = await desk.sit_down()
    thread = await person.open_thread(await person.alert())
    job_id = await person.failed_job()
    await person.say(f"@Sift Retry status {job_id}", "thread-composer")
    await expect(thread.filter(has=person.page.get_by_test_id("only-you")).last).to_contain_text(job_id)
