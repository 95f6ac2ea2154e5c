"""An auditor reads who retried what, takes it away as a file, and looks at how it went."""

from playwright.async_api import expect

from bot.sandbox import AUDITOR, OPERATOR
from tests.browser.people import Desk


async def test_an_auditor_reads_it_and_takes_it_away(desk: Desk) -> None:
    person, auditor = await desk.sit_down(OPERATOR), await desk.sit_down(AUDITOR)
    await (await person.alert()).get_by_test_id("action-retry").click()
    await expect(await person.alert()).to_contain_text("@Operator")
    await auditor.say("/sift-retry audit 1d")
    page = auditor.whispered.last
    await expect(page).to_contain_text("Operator")
    await page.get_by_role("button", name="Export").click()
    await auditor.page.goto(f"{auditor.demo}/?as={AUDITOR}&channel=D{AUDITOR[1:]}&tab=messages")
    file = auditor.page.locator("a.file")
    await expect(file).to_have_count(1)
    async with auditor.page.expect_download() as download:
        await file.click()
    content = (await (await download.value).path()).read_text(encoding="utf-8")
    assert "request,accepted" in content.replace('"', "")
    await expect(person.whispered).to_have_count(0)


async def test_statistics_are_told(desk: Desk) -> None:
    auditor = await desk.sit_down(AUDITOR)
    await auditor.say("/sift-retry stats")
    await expect(auditor.whispered.last).to_contain_text("request")
