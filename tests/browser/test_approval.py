"""From the second retry of a job on, somebody else must say yes."""

from playwright.async_api import expect

from bot.sandbox import OPERATOR, SECOND_OPERATOR
from tests.browser.people import Desk

FAILS_ONCE_MORE = "d2c3b4a5-f6e7-4809-9a1b-2c3d4e5f6a12"


async def test_a_second_person_approves_and_the_first_cannot(desk: Desk) -> None:
    person, other = await desk.sit_down(OPERATOR), await desk.sit_down(SECOND_OPERATOR)
    await person.say(f"/sift-retry {FAILS_ONCE_MORE}")
    status = person.page.locator(f'[data-job="{FAILS_ONCE_MORE}"] [data-testid=job-status]')
    await expect(status).not_to_have_text("failed")
    await expect(status).to_have_text("failed")
    await expect(person.messages.filter(has_text="failed again")).to_have_count(1)  # the bot knows it, too
    await person.say(f"/sift-retry {FAILS_ONCE_MORE} the channel is back")
    root = person.messages.filter(has_text="the channel is back")
    thread = await person.open_thread(root)
    asked = thread.filter(has=person.page.get_by_role("button", name="Approve"))
    await asked.get_by_role("button", name="Approve").click()
    mine = thread.filter(has=person.page.get_by_test_id("only-you"))
    await expect(mine.last).to_contain_text("Somebody else has to approve")
    theirs = await other.open_thread(other.messages.filter(has_text="the channel is back"))
    await theirs.get_by_role("button", name="Approve").click()
    await expect(theirs.filter(has_text="Finished")).not_to_have_count(0)
