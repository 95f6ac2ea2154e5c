"""Takes the pictures of the handbook and the README from the demo, light and dark: `make pictures`."""

import asyncio
import io
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from bot.sandbox import ADMIN, AUDITOR, OPERATOR, SECOND_OPERATOR, UNLISTED
from tests.browser.demo import AS_ROOT, CHROMIUM, serving
from tests.browser.people import PHONE, Desk, Person

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
LARGEST = 150 * 1024
GAP = 24
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
DESKTOP = (1180, 900)
FAILS_ONCE_MORE = "d2c3b4a5-f6e7-4809-9a1b-2c3d4e5f6a12"

Shoot = Callable[[Page], Awaitable[None]]
"""Takes what a window shows, light and dark; what is taken of one story stands side by side."""


async def retry(desk: Desk, shoot: Shoot) -> None:
    """An alert was retried with its button; its thread tells how it went."""
    person = await desk.sit_down(size=DESKTOP)
    alert = await person.alert()
    await alert.get_by_test_id("action-retry").click()
    await expect(alert).to_contain_text("@Operator")
    thread = await person.open_thread(alert)
    await expect(thread.filter(has_text="Finished")).not_to_have_count(0)
    await expect(thread.get_by_role("button", name="Rerun all")).to_be_visible()
    await shoot(person.page)


async def refusal(desk: Desk, shoot: Shoot) -> None:
    """Somebody who is not on the allow-list presses the button."""
    person = await desk.sit_down(UNLISTED, size=PHONE)
    await (await person.alert()).get_by_test_id("action-retry").click()
    await expect(person.whispered).not_to_have_count(0)
    await shoot(person.page)


async def outage(desk: Desk, shoot: Shoot) -> None:
    """An outage was one message, and is handled."""
    person = await desk.sit_down(size=PHONE)
    storm = await _an_outage(person)
    await storm.evaluate("message => message.scrollIntoView()")
    await shoot(person.page)
    await storm.get_by_role("button", name="Retry all").evaluate("button => button.scrollIntoView({block: 'center'})")
    await shoot(person.page)
    await storm.get_by_role("button", name="Retry all").click()
    await person.page.get_by_test_id("confirm-ok").click()
    await expect(storm.get_by_role("button", name="Retry all")).to_have_count(0)
    await expect(storm).to_contain_text("All 25 are through", timeout=90_000)
    await storm.evaluate("message => message.scrollIntoView()")
    await shoot(person.page)


async def _an_outage(person: Person) -> Locator:
    await person.alert()
    await person.page.get_by_test_id("open-sift").click()
    await person.page.get_by_test_id("sift-outage").click()
    await person.page.get_by_label("Close the Sift panel").click()
    storm = person.messages.filter(has_text="25 jobs failed")
    await expect(storm).to_have_count(1)
    return storm


async def approval(desk: Desk, shoot: Shoot) -> None:
    """The second retry of a job waits for somebody else."""
    person, other = await desk.sit_down(OPERATOR), await desk.sit_down(SECOND_OPERATOR, size=DESKTOP)
    await person.say(f"/sift-retry {FAILS_ONCE_MORE}")
    status = person.page.locator(f'[data-job="{FAILS_ONCE_MORE}"] [data-testid=job-status]')
    await expect(status).not_to_have_text("failed")
    await expect(status).to_have_text("failed")
    await expect(person.messages.filter(has_text="failed again")).to_have_count(1)  # the bot knows it, too
    await person.say(f"/sift-retry {FAILS_ONCE_MORE} the channel is back")
    thread = await other.open_thread(other.messages.filter(has_text="the channel is back"))
    await expect(thread.get_by_role("button", name="Approve")).to_be_visible()
    await shoot(other.page)


async def home(desk: Desk, shoot: Shoot) -> None:
    """An admin's Home tab, after some work."""
    person, admin = await desk.sit_down(OPERATOR), await desk.sit_down(ADMIN, size=PHONE)
    alert = await person.alert()
    await alert.get_by_test_id("action-retry").click()
    await expect(alert).to_contain_text("finished")
    home = await admin.open_home()
    await expect(home).to_contain_text("Operator")
    await home.evaluate("tab => tab.scrollIntoView()")
    await shoot(admin.page)


async def audit(desk: Desk, shoot: Shoot) -> None:
    """An auditor reads who did what."""
    person, auditor = await desk.sit_down(OPERATOR), await desk.sit_down(AUDITOR, size=DESKTOP)
    alert = await person.alert()
    await alert.get_by_test_id("action-retry").click()
    thread = await person.open_thread(alert)
    await expect(thread.filter(has_text="Finished")).not_to_have_count(0)
    stranger = await desk.sit_down(UNLISTED)
    await stranger.say(f"/sift-retry {await stranger.failed_job()}")
    await expect(stranger.whispered).not_to_have_count(0)
    await auditor.say("/sift-retry audit 1d")
    await expect(auditor.whispered.last).to_contain_text("Operator")
    await shoot(auditor.page)


STORIES: dict[str, Callable[[Desk, Shoot], Awaitable[None]]] = {
    "retry": retry,
    "refusal-phone": refusal,
    "outage-phone": outage,
    "approval": approval,
    "home-phone": home,
    "audit": audit,
}


async def take(name: str, browser: Browser) -> None:
    """Has a story happen in a demo of its own, and keeps its two pictures."""
    taken: dict[str, list[bytes]] = {scheme: [] for scheme in SCHEMES}

    async def shoot(page: Page) -> None:
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.wait_for_timeout(500)  # until what moves stands
            taken[scheme].append(await page.screenshot(animations="disabled", caret="hide"))

    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as address:
        await STORIES[name](Desk(address, browser, scale=1.5 if name.endswith("phone") else 1), shoot)
    for scheme in SCHEMES:
        keep(taken[scheme], FOLDER / f"{name}-{scheme}.png")


def keep(screens: list[bytes], file: Path) -> None:
    """Writes screens side by side, with as few colours as it takes to stay small.

    Raises:
        ValueError: the picture is larger than the repository should carry.
    """
    images = [Image.open(io.BytesIO(screen)) for screen in screens]
    width = sum(image.width for image in images) + GAP * (len(images) - 1)
    whole = Image.new("RGBA", (width, images[0].height))
    for number, image in enumerate(images):
        whole.paste(image, (number * (image.width + GAP), 0))
    whole.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file, optimize=True)
    if file.stat().st_size > LARGEST:
        raise ValueError(f"{file.name} has {file.stat().st_size} bytes, more than {LARGEST}")


async def main(names: list[str]) -> None:
    """Takes all pictures, or those named."""
    FOLDER.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=AS_ROOT)
        for name in names or STORIES:
            await take(name, browser)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
