"""What the app's answers do in the workspace: by response URL, in the ack of a command, in the ack of a modal."""

from typing import Any

from bot.sandbox.payload import Payload
from bot.sandbox.slack import block_kit
from bot.sandbox.slack.arguments import content
from bot.sandbox.slack.delivery import Answer
from bot.sandbox.slack.directory import BOT_USER
from bot.sandbox.slack.state import Refused, ResponseUrl, WorkspaceState
from bot.sandbox.slack.views import View, with_ids

TROUBLE = "We had some trouble connecting. Try again?"


def answer_by(state: WorkspaceState, way: ResponseUrl, body: Payload) -> None:
    """Shows a message that goes back to one person or their channel, or changes the one they clicked in.

    Raises:
        Refused: its blocks are not within Slack's limits.
    """
    original = state.channel(way.channel).find(way.message_ts) if way.message_ts else None
    if original is not None and _true(body, "delete_original"):
        state.remove(original)
        return
    given = content(state, body)
    if original is not None and _true(body, "replace_original"):
        original.text, original.blocks, original.edited = given["text"], with_ids(given["blocks"]), state.now_ts()
        state.changed()
        return
    only_for = None if body.get("response_type") == "in_channel" else way.user
    thread_ts = body.get("thread_ts") or (original.thread_ts if original is not None else None)
    state.post(way.channel, BOT_USER, **given, thread_ts=thread_ts, visible_to=only_for)


def answer_command(state: WorkspaceState, command: Payload, answer: Answer) -> None:
    """Shows what the ack of a slash command says, or that there was none."""
    user_id, channel_id, name = command["user_id"], command["channel_id"], command["command"]
    body = {"text": answer.body} if isinstance(answer.body, str) else answer.body
    error = None if answer.ok else "operation_timeout" if answer.status is None else "dispatch_failed"
    if answer.ok and isinstance(body, dict):
        if body.get("response_type") == "in_channel":
            state.post(channel_id, user_id, f"{name} {command['text']}".strip())
        try:
            answer_by(state, ResponseUrl(user_id, channel_id, state.clock()), body)
        except Refused:
            error = "invalid_command_response"
    if error:
        state.whisper(user_id, channel_id, f"{name} failed with the error “{error}”")


def answer_submission(state: WorkspaceState, view: View, answer: Answer) -> None:
    """Closes a submitted modal, or changes or corrects it as the ack says."""
    stack = state.modals[view.user]
    body = answer.body if isinstance(answer.body, dict) else {}
    action, new = body.get("response_action"), body.get("view")
    if not answer.ok:
        view.errors = {"": TROUBLE}
    elif action == "errors":
        view.errors = dict(body.get("errors") or {})
    elif action in ("update", "push"):
        _show(state, view, new, on_top=action == "push")
    elif action == "clear":
        stack.clear()
    elif view in stack:
        stack.remove(view)
    state.changed()


def _show(state: WorkspaceState, view: View, body: Any, *, on_top: bool) -> None:
    problems = block_kit.problems_of_view(body)
    if problems:
        view.errors = {"": f"{TROUBLE} ({'; '.join(problems)})"}
        return
    shown = {**body, "blocks": with_ids(body["blocks"])}
    if on_top:
        state.modals[view.user].append(View(state.new_id("V"), view.user, shown, state.new_id("h"), view.id))
    else:
        view.body, view.hash, view.errors = shown, state.new_id("h"), {}


def _true(body: Payload, name: str) -> bool:
    return str(body.get(name, "")).lower() == "true"
