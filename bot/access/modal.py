"""The modal that grants: what it asks, and what is wrong with what was filled in. Pure."""

from collections.abc import Mapping, Sequence

from bot.access.messages import WHAT
from bot.access.policy import Role
from bot.slack.blocks import hinted, input_, modal, multi_select, option, select, text_input
from bot.slack.message import View

GRANT_TITLE = "Grant access"

GRANT_VIEW = "grant_view"
"""The callback ID of the modal that adds to the allow-list."""

_TIMES = (("4h", "4 hours"), ("8h", "8 hours"), ("1d", "a day"), ("7d", "a week"), ("30d", "30 days"))

_FIELDS = {"other_role": "role", "other_job_type": "job_types", "other_channel": "channels", "longer": "for"}


def grant_view(groups: Sequence[tuple[str, str]], job_types: Sequence[str]) -> View:
    """Asks whom to grant what.

    Args:
        groups: the workspace's user groups, as (ID, handle); the first hundred are offered.
        job_types: as in a grant, such as `data_import`.
    """
    roles = [option(f"{role.value}: {WHAT[role]}", role.value) for role in Role]
    types = [option(name.replace("_", " "), name) for name in job_types]
    times = [option(text, time) for time, text in _TIMES]
    named = [option(f"@{handle}", group_id) for group_id, handle in groups]
    yours = "Empty: all that you may grant."
    blocks = [
        input_("user", "Person", {"type": "users_select"}, optional=bool(named)),
        *([hinted(input_("group", "or user group", select(named)), "One of the two.")] if named else []),
        input_("role", "Role", select(roles, roles[0]), optional=False),
        hinted(input_("job_types", "Only jobs of type", multi_select(types)), yours),
        hinted(input_("channels", "Only in channels", {"type": "multi_conversations_select"}), yours),
        hinted(input_("for", "For how long", select(times)), "Empty: for ever, until somebody revokes it."),
        input_("reason", "Because", text_input(500)),
    ]
    return modal(GRANT_TITLE, blocks, submit="Grant", callback_id=GRANT_VIEW)


def nobody_named() -> dict[str, str]:
    """Returns the error of a modal in which neither a person nor a group was chosen."""
    return {"user": "Choose a person or a user group."}


def two_named() -> dict[str, str]:
    """Returns the error of a modal in which both were chosen."""
    return {"group": "Choose a person or a user group, not both."}


def at_its_field(subject: str, why: str, problem: str) -> Mapping[str, str]:
    """Returns a refusal as the error of the field it is about.

    Args:
        why: the reason, as the audit has it.
        problem: what is said of it, without formatting: an error at a field has none.
    """
    return {_FIELDS.get(why, "group" if subject.startswith("S") else "user"): problem}
