"""Every message and view as TypeScript, for `make slack-types`: the compiler holds them to `@slack/types`."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bot.slack.message import Message
from tests.reading import Shown
from tests.test_block_kit import FOREIGN, everything

TYPES = {"modal": "ModalView", "home": "HomeView"}


def _typed(shown: Shown) -> Iterator[tuple[str, Any]]:
    """What is shown, each part with the name of its type."""
    if isinstance(shown, Message):
        yield "KnownBlock[]", list(shown.blocks)
    elif not isinstance(shown, Mapping):
        for piece in shown:
            yield "KnownBlock[]", list(piece.marked("abcdefghjk").blocks)
    elif "blocks" in shown:
        yield TYPES[shown["type"]], shown


def typescript() -> Iterator[str]:
    """The lines of a program that only declares messages and views."""
    yield 'import type { HomeView, KnownBlock, ModalView } from "@slack/types";'
    number = 0
    for words in FOREIGN:
        for name, shown in everything(FOREIGN[words]).items():
            for type_, value in _typed(shown):
                number += 1
                yield f"// {words}: {name}"
                yield f"export const x{number}: {type_} = {json.dumps(value)};"


def main() -> None:
    Path(sys.argv[1]).write_text("\n".join(typescript()), encoding="utf-8")


if __name__ == "__main__":
    main()
