"""The people who use the demo's page, each in a browser window of their own."""

import re
from typing import Literal

from playwright.async_api import Browser, Locator, Page, expect

from bot.sandbox import LAUNCH_OPS, OPERATOR

PHONE, DESKTOP = (390, 844), (1440, 900)

expect.set_options(timeout=30_000)  # on a busy machine


class Person:
    """Somebody at the page, in a browser window of their own."""

    def __init__(self, demo: str, page: Page, user_id: str) -> None:
        self.demo = demo
        self.page = page
        self.user_id = user_id
        self.troubles: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda line: self.troubles.append(line.text) if line.type == "error" else None)

    async def look_at(self, channel_id: str = LAUNCH_OPS) -> None:
        """Goes to a channel."""
        await self.page.goto(f"{self.demo}/?as={self.user_id}&channel={channel_id}")

    async def open_home(self) -> Locator:
        """Goes to the app's Home tab, and returns it once it is filled."""
        await self.page.goto(f"{self.demo}/?as={self.user_id}&channel=D{self.user_id[1:]}&tab=home")
        home = self.page.get_by_test_id("home")
        await expect(home.locator(".blocks")).to_be_visible()
        return home

    async def say(self, text: str, box: Literal["composer", "thread-composer"] = "composer") -> None:
        """Types something and sends it."""
        await self.page.get_by_test_id(f"{box}-text").fill(text)
        await self.page.get_by_test_id(f"{box}-send").click()

    @property
    def messages(self) -> Locator:
        """What the channel shows."""
        return self.page.get_by_test_id("message")

    @property
    def whispered(self) -> Locator:
        """What the channel shows to this person alone."""
        return self.messages.filter(has=self.page.get_by_test_id("only-you"))

    async def alert(self) -> Locator:
        """The alert that waits on the first page."""
        alert = self.messages.first
        await expect(alert).to_contain_text("telemetry_0415.csv")
        return alert

    async def open_thread(self, message: Locator) -> Locator:
        """Opens a message's thread, and returns what it shows."""
        await message.get_by_test_id("replies").click()
        return self.page.get_by_test_id("thread")

    async def failed_job(self, number: int = 0) -> str:
        """The ID of a job in Sift's panel that failed."""
        job = self.page.locator('[data-testid=job][data-status="failed"]').nth(number)
        await expect(job).to_be_attached()
        return str(await job.get_attribute("data-job"))

    async def press_in_modal(self, test_id: str = "modal-submit") -> None:
        """Presses a button of the modal, which goes away then."""
        await self.page.get_by_test_id(test_id).click()
        await expect(self.page.get_by_test_id("modal")).to_have_count(0)


class Desk:
    """Opens windows, and closes them in the end; a window that complained of something fails the test.

    Args:
        scale: how many dots of the screen there are to a pixel of the page.
    """

    def __init__(self, demo: str, browser: Browser, scale: float = 1) -> None:
        self._demo = demo
        self._browser = browser
        self._scale = scale
        self._people: list[Person] = []

    async def sit_down(
        self, user_id: str = OPERATOR, size: tuple[int, int] = DESKTOP, scheme: Literal["light", "dark"] = "light"
    ) -> Person:
        """Somebody opens the first page."""
        phone = size == PHONE
        page = await self._browser.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            has_touch=phone,
            is_mobile=phone,
            device_scale_factor=self._scale,
        )
        person = Person(self._demo, page, user_id)
        self._people.append(person)
        await person.look_at()
        return person

    def troubles(self) -> list[str]:
        """What the windows complained of; a page that answers 404 is looked at by who opens it."""
        return [line for person in self._people for line in person.troubles if not re.search("status of 404", line)]
