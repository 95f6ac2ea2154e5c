"""The Home tab: what one may, what one asked for, and for admins the allow-list."""

from playwright.async_api import expect

from bot.sandbox import ADMIN, OPERATOR, SINGLE_CHANNEL_GUEST, UNLISTED
from tests.browser.people import Desk


async def test_everybody_is_told_what_they_may(desk: Desk) -> None:
    for user_id, said in (
        (OPERATOR, "You may retry jobs"),
        (ADMIN, "You are an admin"),
        (UNLISTED, "You may not retry jobs"),
        (SINGLE_CHANNEL_GUEST, "You may not retry jobs"),
    ):
        person = await desk.sit_down(user_id)
        await expect(await person.open_home()).to_contain_text(said)


async def test_what_one_asked_for_is_there_and_nothing_of_an_earlier_demo(desk: Desk) -> None:
    person = await desk.sit_down()
    await expect(await person.open_home()).not_to_contain_text("Your last requests")
    await person.look_at()
    await (await person.alert()).get_by_test_id("action-retry").click()
    await expect(await person.alert()).to_contain_text("@Operator")
    await expect(await person.open_home()).to_contain_text("Your last requests")


async def test_an_admin_grants_access_there_and_the_person_may_at_once(desk: Desk) -> None:
    admin, person = await desk.sit_down(ADMIN), await desk.sit_down(UNLISTED)
    home = await admin.open_home()
    await home.get_by_role("button", name="Add").click()
    modal = admin.page.get_by_test_id("modal")
    await modal.get_by_label("Person").select_option(label="Engineer")
    await admin.page.get_by_test_id("modal-submit").click()
    await expect(modal).to_contain_text("@Engineer may retry jobs")
    await admin.press_in_modal("modal-close")
    await expect(home).to_contain_text("@Engineer")
    await expect(await person.open_home()).to_contain_text("You may retry jobs")
