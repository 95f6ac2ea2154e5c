"""The demo page: everybody sees what is theirs, foreign text stays text, and what is typed and clicked arrives."""

import asyncio
from collections.abc import AsyncIterator
from html import escape
from html.parser import HTMLParser
from typing import Any

import aiohttp
import httpx
import pytest
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.app.server import serving
from bot.sandbox import (
    ADMIN,
    AUDITOR,
    LAUNCH_OPS,
    OPERATOR,
    PRIVATE,
    SHARED,
    SINGLE_CHANNEL_GUEST,
    STRANGER,
    UNLISTED,
    Sandbox,
)
from bot.sandbox.page.mrkdwn import Reader, plain
from bot.sandbox.page.page import OUTAGE
from bot.sandbox.slack.block_kit import problems_of_blocks
from bot.sandbox.slack.directory import BOT_USER
from bot.sandbox.slack.methods import URL
from bot.sandbox.slack.views import View
from bot.settings import Settings, load
from bot.slack.links import permalink
from tests.conftest import HandClock
from tests.sandbox.test_slack import JOB, actions, button, modal, reason_input, section

FROM_PAGE = {"X-Sandbox": "1"}
HOSTILE = "<script>alert(1)</script> \"'><img src=x onerror=alert(1)> <javascript:alert(1)|here> <!channel>"


class Seen(HTMLParser):
    """What a browser would make of a page: its tags with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def ids(self, kind: str) -> list[str]:
        """The IDs of everything with that `data-testid`."""
        return [str(given["id"]) for _, given in self.tags if given.get("data-testid") == kind]

    def one(self, element_id: str) -> dict[str, str | None]:
        """The attributes of the element of that ID."""
        (found,) = (given for _, given in self.tags if given.get("id") == element_id)
        return found


@pytest.fixture
def sandbox(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


@pytest.fixture
async def browser(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app), base_url="http://sandbox") as client:
        yield client


async def look(browser: httpx.AsyncClient, **where: str) -> Seen:
    """The page as somebody sees it; `as_` says who."""
    params = {name.rstrip("_"): value for name, value in where.items()}
    response = await browser.get("/", params=params)
    assert response.status_code == 200
    return Seen(response.text)


async def do(browser: httpx.AsyncClient, act: str, **fields: Any) -> Any:
    """What a click on the page sends; answers the note that it shows."""
    data = {name.rstrip("_"): value for name, value in fields.items()}
    response = await browser.post(f"/act/{act}", data=data, headers=FROM_PAGE)
    assert response.status_code == 200, response.text
    return response.json()["note"]


class TestWhatIsSeen:
    async def test_everybody_sees_their_own_channels(self, browser: httpx.AsyncClient) -> None:
        async def channels(user_id: str) -> set[str]:
            seen = await look(browser, as_=user_id)
            return {
                str(given["id"]).removeprefix("channel-")
                for _, given in seen.tags
                if "channel-" in (given.get("id") or "")
            }

        assert PRIVATE in await channels(OPERATOR)
        assert PRIVATE not in await channels(AUDITOR)
        assert await channels(SINGLE_CHANNEL_GUEST) == {LAUNCH_OPS}
        assert await channels(STRANGER) == {SHARED}

    async def test_what_cannot_be_shown_is_left_aside(self, browser: httpx.AsyncClient) -> None:
        seen = await look(browser, as_="U0NOBODY", channel="C0NONE", thread="1.0")
        assert seen.one(f"as-{OPERATOR}")["aria-current"] == "true"
        assert seen.one(f"channel-{LAUNCH_OPS}")["aria-current"] == "page"
        assert not seen.ids("thread")
        kept_out = await look(browser, as_=AUDITOR, channel=PRIVATE)
        assert kept_out.one(f"channel-{LAUNCH_OPS}")["aria-current"] == "page"

    async def test_private_answers_are_private_and_say_so(self, sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
        sandbox.slack.whisper(OPERATOR, LAUNCH_OPS, "between us")
        mine, theirs = await look(browser, as_=OPERATOR), await look(browser, as_=ADMIN)
        assert "between us" in mine.text
        assert "Only visible to you" in mine.text
        assert "between us" not in theirs.text

    async def test_replies_are_in_the_thread(self, sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
        root = sandbox.slack.say(OPERATOR, LAUNCH_OPS, "root")
        reply = sandbox.slack.say(ADMIN, LAUNCH_OPS, "the reply", thread_ts=root.ts)
        sandbox.slack.whisper(OPERATOR, LAUNCH_OPS, "for you alone", thread_ts=root.ts)
        closed, opened = await look(browser), await look(browser, thread=root.ts)
        assert closed.ids("message") == [f"message-{root.ts}"]
        assert closed.ids("replies") == [f"replies-{root.ts}"]
        assert "1 reply" in closed.text
        assert "the reply" not in closed.text
        assert opened.ids("thread")[:2] == [f"thread-{root.ts}", f"thread-{reply.ts}"]
        assert len(opened.ids("thread")) == 3
        assert len((await look(browser, as_=ADMIN, thread=root.ts)).ids("thread")) == 2

    async def test_times_are_the_readers(self, sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
        text = "<!date^1795176000^{date_short_pretty} at {time}|fallback>"
        sandbox.slack.post(LAUNCH_OPS, BOT_USER, "x", blocks=[section(text)])
        assert "Today at 4:00 AM" in (await look(browser, as_=OPERATOR)).text
        assert "Today at 9:00 PM" in (await look(browser, as_=UNLISTED)).text

    async def test_every_kind_of_block(self, sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
        option = {"text": {"type": "plain_text", "text": "Option"}, "value": "o"}
        confirm = {name: {"type": "plain_text", "text": name.title()} for name in ("title", "text", "confirm", "deny")}
        blocks: list[dict[str, Any]] = [
            {"type": "header", "text": {"type": "plain_text", "text": ":rocket: Header"}},
            section(fields=[{"type": "mrkdwn", "text": "*Field*"}], accessory=button("mute", "Mute")),
            {"type": "divider"},
            {"type": "context", "elements": [{"type": "plain_text", "text": "Context"}]},
            {"type": "image", "image_url": "https://example.com/chart.png", "alt_text": "A chart"},
            {
                "type": "rich_text",
                "elements": [
                    {
                        "type": "rich_text_section",
                        "elements": [{"type": "text", "text": "Rich", "style": {"bold": True}}],
                    }
                ],
            },
            actions(
                button(style="danger", confirm=confirm, value="v"),
                {"type": "static_select", "action_id": "pick", "options": [option], "initial_option": option},
                {"type": "overflow", "action_id": "more", "options": [option]},
                {"type": "users_select", "action_id": "who"},
                {"type": "checkboxes", "action_id": "check", "options": [option]},
                {"type": "datepicker", "action_id": "day", "initial_date": "2026-11-20"},
            ),
        ]
        assert not problems_of_blocks(blocks)
        sandbox.slack.post(LAUNCH_OPS, BOT_USER, "x", blocks=blocks)
        seen = await look(browser)
        for text in ("🚀 Header", "Field", "Context", "Rich", "Option", "Mute"):
            assert text in seen.text
        (retry,) = (given for _, given in seen.tags if given.get("data-testid") == "action-retry")
        assert (retry["data-confirm-title"], retry["data-confirm-deny"]) == ("Title", "Deny")
        assert "button danger" in str(retry["class"])

    async def test_options_stand_in_their_groups(self, sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
        def group(label: str, *values: str) -> dict[str, Any]:
            options = [{"text": {"type": "plain_text", "text": value}, "value": value} for value in values]
            return {"label": {"type": "plain_text", "text": label}, "options": options}

        groups = [group("hotfire-118", "one", "two"), group("hotfire-119", "three")]
        blocks = [
            actions(
                {"type": "static_select", "action_id": "single", "option_groups": groups},
                {"type": "multi_static_select", "action_id": "several", "option_groups": groups},
            )
        ]
        assert not problems_of_blocks(blocks)
        sandbox.slack.post(LAUNCH_OPS, BOT_USER, "x", blocks=blocks)
        seen = await look(browser)
        assert [given["label"] for tag, given in seen.tags if tag == "optgroup"] == ["hotfire-118", "hotfire-119"]
        boxes = [given["value"] for _, given in seen.tags if given.get("data-testid") == "input-several"]
        assert boxes == ["one", "two", "three"]
        assert len(set(seen.ids("input-several"))) == 3
        assert "hotfire-118" in seen.text

    async def test_a_container_is_folded_and_what_is_in_it_can_be_pressed(
        self, sandbox: Sandbox, browser: httpx.AsyncClient
    ) -> None:
        inside = [section("<https://sift.example/run/1|the run>"), actions(button("inside", "Press"))]
        folded = {"is_collapsible": True, "default_collapsed": True}
        title = {"type": "plain_text", "text": "2 more rules"}
        blocks = [{"type": "container", "title": title, "child_blocks": inside, **folded}]
        assert not problems_of_blocks(blocks)
        message = sandbox.slack.post(LAUNCH_OPS, BOT_USER, "x", blocks=blocks)
        seen = await look(browser)
        (details,) = (given for tag, given in seen.tags if given.get("data-testid") == "container")
        assert "open" not in details
        assert "2 more rules" in seen.text
        assert [
            given["href"]
            for tag, given in seen.tags
            if tag == "a" and given.get("href") == "https://sift.example/run/1"
        ]
        assert [element["text"]["text"] for element in message.buttons()] == ["Press"]
        assert len(seen.ids("action-inside")) == 1

    async def test_what_is_asked_before_a_click_is_formatted(
        self, sandbox: Sandbox, browser: httpx.AsyncClient
    ) -> None:
        title = {"type": "plain_text", "text": "Sure :fire:"}
        text = {"type": "mrkdwn", "text": '*never* helped &lt;b&gt; "quoted"'}
        confirm = {"title": title, "text": text, "confirm": title, "deny": title}
        sandbox.slack.post(LAUNCH_OPS, BOT_USER, "x", blocks=[actions(button(confirm=confirm))])
        seen = await look(browser)
        (asked,) = (given for _, given in seen.tags if given.get("data-testid") == "action-retry")
        assert asked["data-confirm-title"] == "Sure 🔥"
        assert asked["data-confirm-html"] == "<b>never</b> helped &lt;b&gt; &#34;quoted&#34;"

    async def test_the_jobs_are_at_the_side(self, sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
        before = len((await look(browser)).ids("job"))
        await do(browser, "fail")
        await do(browser, "outage")
        seen = await look(browser)
        assert len(seen.ids("job")) == before + 1 + OUTAGE
        newest = next(reversed(sandbox.sift.jobs))
        assert seen.ids("job")[0] == f"job-{newest}"
        assert seen.one(f"use-{newest}")["data-use"] == f"/sift-retry {newest}"


class TestForeignText:
    async def test_hostile_text_stays_text_wherever_it_stands(
        self, sandbox: Sandbox, browser: httpx.AsyncClient
    ) -> None:
        plain_text, markdown = {"type": "plain_text", "text": HOSTILE[:75]}, {"type": "mrkdwn", "text": HOSTILE}
        option = {"text": plain_text, "value": HOSTILE[:150], "description": plain_text}
        hostile = button(
            HOSTILE, HOSTILE[:75], value=HOSTILE, url="javascript:alert(1)", accessibility_label=HOSTILE[:75]
        )
        hostile["confirm"] = {"title": plain_text, "text": markdown, "confirm": plain_text, "deny": plain_text}
        select = {"type": "static_select", "action_id": "s", "options": [option], "placeholder": plain_text}
        field = reason_input(initial_value=HOSTILE, placeholder=plain_text)
        blocks = [
            section(HOSTILE, block_id=HOSTILE, fields=[markdown, plain_text]),
            {"type": "header", "text": plain_text},
            {"type": "context", "elements": [markdown, {"type": "image", "image_url": "x", "alt_text": HOSTILE}]},
            {"type": "markdown", "text": HOSTILE},
            actions(hostile, select, {"type": "checkboxes", "action_id": "c", "options": [option]}),
            {**field, "label": plain_text, "hint": plain_text},
        ]
        slack = sandbox.slack
        slack.users[ADMIN].name = slack.channel(PRIVATE).name = HOSTILE
        slack.say(ADMIN, LAUNCH_OPS, HOSTILE)
        slack.post(LAUNCH_OPS, OPERATOR, HOSTILE)
        slack.post(LAUNCH_OPS, BOT_USER, "x", blocks=blocks)
        slack.post(LAUNCH_OPS, BOT_USER, "x", files=[{"id": HOSTILE, "name": HOSTILE, "title": HOSTILE, "size": 1}])
        body = modal(*slack.channel(LAUNCH_OPS).messages[2].blocks, title=plain_text, submit=plain_text)
        slack.modals[OPERATOR].append(View("V1", OPERATOR, body, "h", errors={"why": HOSTILE, "": HOSTILE}))
        seen = await look(browser)
        scripts = [given for tag, given in seen.tags if tag == "script"]
        assert scripts == [{"src": "/static/page.js", "defer": None}]
        assert not [name for _, given in seen.tags for name in given if name.startswith("on")]
        assert not [given for tag, given in seen.tags if (given.get("href") or "").lower().startswith("javascript:")]
        assert all(given["src"] == "x" and given.get("alt") for tag, given in seen.tags if tag == "img")
        assert seen.text.count("<script>alert(1)</script>") > 10

    async def test_the_page_lets_nothing_from_elsewhere_in(self, browser: httpx.AsyncClient) -> None:
        response = await browser.get("/")
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert "http://" not in response.text.replace("http://www.w3.org/2000/svg", "")

    @pytest.mark.parametrize(
        ("text", "html"),
        [
            ("*bold* _italic_ ~gone~ `code`", "<b>bold</b> <i>italic</i> <s>gone</s> <code>code</code>"),
            ("*_both_*", "<b><i>both</i></b>"),
            ("a*b*c snake_case_name 2*3*4", "a*b*c snake_case_name 2*3*4"),
            ("`*not bold* <@U0ADMIN>`", '<code>*not bold* <span class="mention">@Admin</span></code>'),
            ("```one\ntwo```", "<pre>one\ntwo</pre>"),
            ("one\ntwo", "one<br>two"),
            ("&gt; quoted\nnot", "<blockquote>quoted</blockquote>not"),
            ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 &lt; 2 &amp;&amp; 3 &gt; 2"),
            ("&amp;lt;", "&amp;lt;"),
            ("<#C0LAUNCHOPS|>", '<span class="mention">#launch-ops</span>'),
            ("<!subteam^S0OPERATORS>", '<span class="mention me">@sift-operators</span>'),
            ("<!channel>", '<span class="mention me">@channel</span>'),
            ("<javascript:alert(1)|here>", "here"),
            ("<!date^nonsense^{date}|a &lt; b>", "a &lt; b"),
            (":white_check_mark:", '<span class="emoji" title=":white_check_mark:">✅</span>'),
            (
                "<https://a.example/?b&amp;c|a *link*>",
                '<a href="https://a.example/?b&amp;c" target="_blank" rel="noopener noreferrer">a *link*</a>',
            ),
        ],
    )
    def test_mrkdwn(self, sandbox: Sandbox, text: str, html: str) -> None:
        assert Reader(sandbox.slack, sandbox.slack.users[OPERATOR]).html(text) == html

    def test_what_is_in_the_workspace_is_read_on_the_page_itself(self, sandbox: Sandbox) -> None:
        root = sandbox.slack.say(OPERATOR, LAUNCH_OPS, "root")
        reply = sandbox.slack.say(ADMIN, LAUNCH_OPS, "reply", thread_ts=root.ts)
        reader = Reader(sandbox.slack, sandbox.slack.users[ADMIN])
        here = f"/?as={ADMIN}&channel={LAUNCH_OPS}&thread={root.ts}"
        for ts in (root.ts, reply.ts):
            link = permalink(URL, LAUNCH_OPS, ts)
            assert reader.address(link) == here
            assert reader.html(f"<{link}|the thread>") == f'<a href="{escape(here)}">the thread</a>'
        assert reader.address("https://elsewhere.example/archives/C1/p1000000001") == (
            "https://elsewhere.example/archives/C1/p1000000001"
        )

    async def test_everybodys_time_zone_is_named(self, browser: httpx.AsyncClient) -> None:
        seen = await look(browser)
        assert "May retry jobs · Los Angeles time" in seen.text
        assert "Not on the allow-list · Tokyo time" in seen.text

    def test_plain_text_has_emoji_but_no_markup(self) -> None:
        assert plain({"text": ":fire: *x* &lt;b&gt;"}) == "🔥 *x* <b>"
        assert plain({"text": ":fire:", "emoji": False}) == ":fire:"


class TestWhatIsDone:
    @pytest.fixture
    async def got(self, sandbox: Sandbox) -> AsyncIterator[list[dict[str, Any]]]:
        """A real Bolt app behind the sandbox's own address, and everything it got."""
        bodies: list[dict[str, Any]] = []
        async with serving(sandbox.app) as url:
            app = AsyncApp(
                client=AsyncWebClient(sandbox.slack.bot_token, f"{url}/slack/api/"),
                signing_secret=sandbox.slack.signing_secret,
            )

            @app.middleware
            async def take(body: dict[str, Any], next_: Any) -> None:
                bodies.append(body)
                await next_()

            @app.shortcut("retry_sift_job")
            async def open_modal(ack: Any, client: AsyncWebClient, body: dict[str, Any]) -> None:
                view = modal(reason_input(), callback_id="form")
                await client.views_open(trigger_id=body["trigger_id"], view=view)
                await ack()

            @app.view("form")
            @app.action("retry")
            @app.command("/sift-retry")
            async def done(ack: Any) -> None:
                await ack()

            @app.event("app_mention")
            @app.event("app_home_opened")
            async def heard() -> None:
                pass

            async def receive(request: Request) -> Response:
                return await AsyncSlackRequestHandler(app).handle(request)

            sandbox.fallback = Starlette(routes=[Route("/slack/events", receive, methods=["POST"])])
            sandbox.slack.request_url = f"{url}/slack/events"
            yield bodies

    async def test_what_is_typed_is_a_command_a_mention_or_a_message(
        self, sandbox: Sandbox, browser: httpx.AsyncClient, got: list[dict[str, Any]]
    ) -> None:
        async def send(text: str, thread: str = "") -> None:
            assert await do(browser, "send", as_=OPERATOR, channel=LAUNCH_OPS, text=text, thread=thread) is None

        await send("just words")
        root = sandbox.slack.channel(LAUNCH_OPS).messages[0]
        await send(f"/sift-retry {JOB} a reason")
        await send(f"@Sift Retry retry {JOB}", root.ts)
        await send("/sift-retry help", root.ts)
        await send("/unknown")
        assert [body.get("text") or body["event"]["text"] for body in got] == [
            f"{JOB} a reason",
            f"<@{BOT_USER}> retry {JOB}",
        ]
        assert [message.text for message in sandbox.slack.ephemerals(OPERATOR)] == [
            "/sift-retry is not supported in threads. Sorry!",
            "/unknown is not a valid command.",
        ]

    async def test_buttons_and_modals(
        self, sandbox: Sandbox, browser: httpx.AsyncClient, got: list[dict[str, Any]]
    ) -> None:
        message = sandbox.slack.post(LAUNCH_OPS, BOT_USER, JOB, blocks=[actions(button(value=JOB), block_id="row")])
        where = {"as_": OPERATOR, "channel": LAUNCH_OPS, "ts": message.ts}
        assert await do(browser, "click", **where, action_id="retry", block_id="row", value=JOB) is None
        assert await do(browser, "click", **where, action_id="gone", block_id="row") == "That is no longer there."
        await do(browser, "shortcut", **where)
        (view,) = sandbox.slack.modals[OPERATOR]
        seen = await look(browser)
        assert seen.ids("modal") == [f"modal-{view.id}"]
        assert "name" in seen.one("modal-why-reason")
        await do(browser, "submit", as_=OPERATOR, view=view.id, **{"why:reason": "because"})
        assert not sandbox.slack.modals[OPERATOR]
        assert got[-1]["view"]["state"]["values"]["why"]["reason"]["value"] == "because"
        await do(browser, "home", as_=OPERATOR)
        assert [body.get("type") for body in got] == [
            "block_actions",
            "message_action",
            "view_submission",
            "event_callback",
        ]

    async def test_a_silent_app_is_told_of(self, sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
        message = sandbox.slack.post(LAUNCH_OPS, BOT_USER, "x", blocks=[actions(button(), block_id="row")])
        fields = {"as_": OPERATOR, "channel": LAUNCH_OPS, "ts": message.ts, "action_id": "retry", "block_id": "row"}
        assert await do(browser, "click", **fields) == "The app did not respond."

    async def test_only_the_page_itself_may_act(self, browser: httpx.AsyncClient) -> None:
        assert (await browser.post("/act/fail")).status_code == 403
        assert (await browser.post("/act/nothing", headers=FROM_PAGE)).status_code == 404
        assert (await browser.post("/act/send", headers=FROM_PAGE)).status_code == 400

    async def test_changes_are_told_at_once(self, sandbox: Sandbox) -> None:
        async with (
            serving(sandbox.app) as url,
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}/updates") as socket,
        ):
            await asyncio.sleep(0.02)
            sandbox.slack.say(OPERATOR, LAUNCH_OPS, "news")
            assert await socket.receive_str(timeout=2) == "changed"
            sandbox.sift.fail_one()
            assert await socket.receive_str(timeout=2) == "changed"


class TestComposition:
    def test_the_bots_settings_are_made_of_it(self, sandbox: Sandbox) -> None:
        socket = load(Settings, sandbox.environment("http://127.0.0.1:1"))
        http = load(Settings, sandbox.environment("http://127.0.0.1:1", socket_mode=False))
        assert (socket.socket_mode, http.socket_mode) == (True, False)

    async def test_what_is_not_the_sandboxs_is_the_bots(self, sandbox: Sandbox, browser: httpx.AsyncClient) -> None:
        assert (await browser.get("/readyz")).status_code == 503
        sandbox.fallback = PlainTextResponse("the bot")
        assert (await browser.get("/readyz")).text == "the bot"
        assert (await browser.post("/slack/events")).text == "the bot"


async def test_links_into_sift_lead_to_what_they_name() -> None:
    sandbox = Sandbox()
    run_id, run = next(iter(sandbox.sift.runs.items()))
    asset_id, asset = next(iter(sandbox.sift.assets.items()))
    async with serving(sandbox.app) as url, httpx.AsyncClient(base_url=url) as http:
        assert f"<h1>{run.name}</h1>" in (await http.get(f"/run/{run_id}")).text
        assert f"<h1>{asset.name}</h1>" in (await http.get(f"/asset/{asset_id}")).text
        missing = await http.get("/rules/%3Cscript%3E")
        assert (missing.status_code, "<script>" in missing.text) == (404, False)
        plot = (await http.get("/explore", params={"runs": run_id, "assets": asset_id, "panelType": "<b>"})).text
        assert run.name in plot
        assert asset.name in plot
        assert "<b>" not in plot
