"""What the documents have people type in Slack and at a shell is understood; what cannot run here is listed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bot.app.command import Help, Pick, Usage
from bot.app.commands import parse, parse_mention
from bot.settings import Settings
from bot.sift.ids import EXAMPLE
from tests.documents import DOCUMENTS, ROOT, lines_of, read, spelled, typed

IN_SLACK = {
    "<jobId>": EXAMPLE,
    "<run>": "hotfire-118",
    " role": " auditor",
    "because …": "because on call",
    "…": EXAMPLE,
}
"""What stands for what the documents leave open in Slack."""

MENTION = "@Sift Retry"

NOT_RUN_HERE = {
    "pip install": "fetches the package; tests/deploy/test_release.py installs the wheel",
    "docker compose": "needs a registry; tests/deploy/test_container.py checks the files",
    "deploy/secrets.sh": "tests/deploy/test_container.py runs it",
    "export": "of the line after it",
    "litestream restore": "tests/deploy/test_litestream.py restores with these arguments",
    "useradd": "needs root; tests/deploy/test_container.py checks the unit",
    "python3 -m venv": "as useradd",
    ". .venv/bin/activate": "of the lines after it",
    "/opt/sift-retry-bot/bin/pip": "as useradd",
    "install": "as useradd",
    "cd": "as useradd",
    "kubectl": "needs a cluster; tests/deploy/test_manifests.py validates what is applied",
    "node": "tests/audit/test_other_language.py runs it",
    "psql": "tests/deploy/test_roles.py runs it",
}
"""What the documents have people type at a shell that no test types just so, and why."""


def understood(line: str) -> bool:
    """Whether the bot takes what is typed for a command; people and user groups arrive as mentions."""
    words = line.removeprefix("/sift-retry").removeprefix(MENTION)
    words = re.sub(r"@on-call\b|@group\b", "<!subteam^S0ONCALL>", words)
    words = re.sub(r"(?<!\S)@[\w-]+", "<@U0ANA>", words)
    command = parse(words) if line.startswith("/") else parse_mention(f"<@U0BOT> {words}")
    expected_help = words.split()[:1] == ["help"]
    return not isinstance(command, Usage) and isinstance(command, Help) == expected_help


def needs_more(line: str) -> bool:
    """Whether a line only names a command that takes somebody or something, as in “`/sift-retry allow` grants”."""
    return re.fullmatch(r"/sift-retry (allow|revoke|status|run)", line) is not None


def test_everything_typed_in_slack_is_understood() -> None:
    lines = {one for line in typed("/sift-retry", MENTION) for one in spelled(line, IN_SLACK)}
    assert {line for line in lines if not needs_more(line) and not understood(line)} == set()
    for word in ("allow", "revoke", "access", "audit", "list", "run", "stats", "status"):
        assert any(line.startswith(f"/sift-retry {word}") for line in lines), f"{word} is in no document"


def test_what_is_not_understood_is_noticed() -> None:
    assert understood("/sift-retry allow @ana operator for 8h because night shift")
    assert not understood("/sift-retry allow @ana driver")
    assert not understood("/sift-retry stat")
    assert not understood(f"{MENTION} retry everything")
    assert isinstance(parse(""), Pick)


def test_what_stands_for_several_lines_is_spelled_out() -> None:
    assert spelled("audit [<jobId>|@user] [7d]", {"<jobId>": "J"}) == [
        *("audit", "audit 7d", "audit J", "audit @user", "audit J 7d", "audit @user 7d")
    ]


def targets() -> set[str]:
    """What the Makefile makes."""
    return set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE))


def test_everything_made_can_be_made() -> None:
    made = {re.sub(r"^(\w+=\S+ )*make | \w+=(\"[^\"]*\"|\S+)", "", line) for line in typed("make", "PORT=3001")}
    assert made - targets() == set()
    assert {"demo", "test", "docs"} <= made


def test_alert_rules_are_tested_as_the_manual_says() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed here")
    (line,) = typed("promtool")
    subprocess.run(line.split(), cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_line_to_be_typed_is_run_checked_or_listed(document: Path) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    unknown = []
    for line in lines_of(read(document)):
        known = line.startswith(("/sift-retry ", MENTION, "make ", "sift-retry ", ".venv/bin/sift-retry "))
        known |= line.partition("=")[0] in settings or any(line.startswith(f"{one} ") for one in NOT_RUN_HERE)
        if not known and line not in NOT_RUN_HERE:
            unknown.append(line)
    assert unknown == []


def test_no_reason_is_given_for_what_no_document_says() -> None:
    said = [line for document in DOCUMENTS for line in lines_of(read(document))]
    assert {one for one in NOT_RUN_HERE if not any(line.startswith(one) for line in said)} == set()
