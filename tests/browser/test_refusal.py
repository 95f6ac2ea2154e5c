"""Who may not is told why, where they look, and nobody else sees it."""

import pytest
from playwright.async_api import expect

from bot.sandbox import AUDITOR, OPERATOR, SINGLE_CHANNEL_GUEST, UNLISTED
from tests.browser.people import Desk


@pytest.mark.parametrize("user_id", [UNLISTED, AUDITOR, SINGLE_CHANNEL_GUEST])
async def test_a_press_of_who_may_not_is_refused_privately_in_the_channel(desk: Desk, user_id: str) -> None:
    person, other = await desk.sit_down(user_id), await desk.sit_down(OPERATOR)
    alert = await person.alert()
    await expect(alert.get_by_test_id("replies")).to_be_visible()
    await alert.get_by_test_id("action-retry").click()
    refusal = person.whispered.last
    await expect(refusal).to_contain_text("You may not retry jobs")
    await expect(refusal).to_be_in_viewport()
    await other.alert()
    await expect(other.messages.filter(has_text="may not")).to_have_count(0)


async def test_a_guest_sees_no_jobs_to_pick_from(desk: Desk) -> None:
    person = await desk.sit_down(SINGLE_CHANNEL_GUEST)
    await person.say("/sift-retry")
    modal = person.page.get_by_test_id("modal")
    await expect(modal).to_contain_text("You may not")
    await expect(modal.locator("input")).to_have_count(0)
    await person.press_in_modal("modal-close")
