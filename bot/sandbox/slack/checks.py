"""The pieces that rules about Slack's JSON are made of: texts, lists, objects, one of several."""

from collections.abc import Callable, Mapping

Check = Callable[[object, str], list[str]]
"""Returns what is wrong with the value at a JSON pointer, in Slack's words."""


def say(at: str, what: str) -> str:
    """A complaint, with the place as Slack writes it."""
    return f"{what} [json-pointer:{at}]"


def string(most: int, least: int = 1) -> Check:
    """A text of so many characters."""

    def check(value: object, at: str) -> list[str]:
        if not isinstance(value, str):
            return [say(at, "must be a string")]
        if len(value) < least:
            return [say(at, f"must be more than {least - 1} characters")]
        return [say(at, f"must be less than {most + 1} characters")] if len(value) > most else []

    return check


def one_of(*allowed: object) -> Check:
    """One of these values."""
    return lambda value, at: [] if value in allowed else [say(at, f"must be one of {', '.join(map(str, allowed))}")]


def anything(_value: object, _at: str) -> list[str]:
    """Whatever it is."""
    return []


def many(check: Check, most: int, least: int = 1) -> Check:
    """A list of so many items, each of which keeps a rule."""

    def check_all(values: object, at: str) -> list[str]:
        if not isinstance(values, list):
            return [say(at, "must be an array")]
        if len(values) > most:
            return [say(at, f"no more than {most} items allowed")]
        if len(values) < least:
            return [say(at, f"must have at least {least} item{'s' * (least > 1)}")]
        return [problem for number, value in enumerate(values) for problem in check(value, f"{at}/{number}")]

    return check_all


def shape(required: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    """An object with just these fields; null is as good as not given."""
    known = {"type": anything, **required, **optional}

    def check(value: object, at: str) -> list[str]:
        if not isinstance(value, dict):
            return [say(at, "must be an object")]
        missing = [say(at, f"missing required field: {name}") for name in required if value.get(name) is None]
        unknown = [say(at, f"invalid additional property: {name}") for name in value if name not in known]
        inside = [
            problem
            for name, child in value.items()
            if name in known and child is not None
            for problem in known[name](child, f"{at}/{name}")
        ]
        return missing + unknown + inside

    return check


def by_type(table: Mapping[str, Check]) -> Check:
    """An object whose `type` says which rules it keeps."""

    def check(value: object, at: str) -> list[str]:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in table:
            return [say(at, f"unsupported type: {kind}")]
        return table[kind](value, at)

    return check
