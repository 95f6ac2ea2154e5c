"""The command line, as an operator uses it: what is printed where, and the exit codes."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert

from bot.__main__ import main
from bot.audit import log as audit
from bot.audit.entry import Entry, Event
from bot.base.clock import utc_now
from bot.db.database import Database
from bot.db.tables import job_runs
from bot.settings import Settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs one command in an empty directory; answers exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sift-retry", *arguments])
        with pytest.raises(SystemExit) as exited:
            main()
        sys.stdout.flush()
        out, error = capfdbinary.readouterr()
        return int(exited.value.code or 0), out.decode(), error.decode()

    return run


def test_grants_are_added_listed_and_revoked(run: Run) -> None:
    code, out, _ = run(
        "access", "grant", "U1", "--for", "8h", "--type", "data_import", "--channel", "C1", "--reason", "on call"
    )
    assert code == 0
    assert "U1 is operator until" in out
    assert run("access", "grant", "S1", "--role", "auditor")[0] == 0
    _, out, _ = run("access", "list")
    assert re.search(r"^U1\toperator\tdata_import C1\tuntil \S+Z\ton call$", out, re.MULTILINE)
    assert re.search(r"^S1\tauditor\teverything\tforever$", out, re.MULTILINE)
    assert run("access", "revoke", "U1")[0] == 0
    assert "U1" not in run("access", "list")[1]


def test_a_grant_that_adds_nothing_is_said_to(run: Run) -> None:
    run("access", "grant", "U1")
    code, out, _ = run("access", "grant", "U1", "--for", "8h")
    assert code == 0
    assert out.splitlines()[1] == (
        "this adds nothing: U1 holds as much or more already, and keeps it: operator forever (grant 1)"
    )
    assert re.search(r"until \S+Z \(adds nothing to another grant\)$", run("access", "list")[1], re.MULTILINE)
    assert run("access", "revoke", "U1")[1] == "revoked: U1, 2 grants ended (grant 1, grant 2)\n"


def test_revoking_somebody_not_listed_is_one_line_and_exit_1(run: Run) -> None:
    code, out, error = run("access", "revoke", "U9")
    assert (code, out) == (1, "")
    assert error == "sift-retry: U9 is not on the allow-list.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("access", "grant", "@someone"),
        ("access", "grant", "C1"),
        ("access", "grant", "U1", "--for", "soon"),
        ("access", "grant", "U1", "--role", "king"),
        ("access", "grant", "U1", "--type", "canvas"),
        ("access", "grant", "U1", "--channel", "#ops"),
        ("access", "grant"),
        ("audit", "list", "--since", "yesterday"),
        ("audit", "export", "--format", "xml"),
        ("audit", "list", "--outcome", "great"),
        ("audit", "verify", "--head", "7"),
        ("audit", "archive"),
        ("audit", "archive", "--before", "2999-01-01"),
        ("audit", "verify", "--head", f"7:{'0' * 64}:short"),
        ("nonsense",),
        ("--nonsense",),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, error = run(*arguments)
    assert (code, out) == (2, "")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "demo",
        "doctor",
        "migrate",
        "access grant",
        "access revoke",
        "access list",
        "audit list",
        "audit export",
        "audit verify",
        "audit show",
        "audit anchor",
        "audit archive",
        "audit keygen",
        "recover",
        "audit",
        "access",
        "",
    ],
)
def test_every_command_has_help(run: Run, command: str) -> None:
    code, out, _ = run(*command.split(), "--help")
    assert code == 0
    assert "Usage:" in out


def test_missing_settings_are_one_line_each_and_exit_2(run: Run) -> None:
    code, out, error = run("run")
    assert (code, out) == (2, "")
    assert [line.split(":")[1].strip() for line in error.splitlines()] == [
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "SIFT_API_KEY",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"PORT": "canary-1"},
        {"SLACK_BOT_TOKEN": "xoxp-canary-1"},
        {"SIFT_API_KEY": "canary 1"},
        {"DATABASE_URL": "postgresql://u:canary-1@h:canary-1/x"},
        {"DATABASE_URL": "mysql://u:canary-1@h/x"},
        {
            "DATABASE_URL": "postgresql://u:canary-1@127.0.0.1:9/x?password=canary-1&sslpassword=canary-1&application_name=canary-2"
        },
        {"ALERT_CHANNELS": "data_import=canary-1"},
        {"SIFT_API_KEY": "", "SIFT_API_KEY_FILE": "secret"},
    ],
)
def test_a_start_that_fails_shows_no_secret(
    run: Run, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("two words, canary-1")
    good = {"SLACK_BOT_TOKEN": "xoxb-canary-1", "SLACK_APP_TOKEN": "xapp-canary-1", "SIFT_API_KEY": "key-canary-1"}
    nowhere = {"SLACK_API_URL": "http://127.0.0.1:9/api", "SIFT_REST_URI": "http://127.0.0.1:9"}
    for name, value in {**good, **nowhere, **settings}.items():
        monkeypatch.setenv(name, value)
    given = "xoxb-canary-1" if "SLACK_BOT_TOKEN" not in settings else "key-canary-1"
    for arguments in (["run"], ["doctor"], ["access", "revoke", given], [given]):
        code, out, error = run(*arguments)
        assert code in (1, 2)
        assert "canary" not in out + error
        assert "Traceback" not in out + error


def test_everything_is_in_the_audit_also_its_reading(run: Run) -> None:
    run("access", "grant", "U1", "--reason", "on call")
    run("access", "revoke", "U1")
    run("audit", "list", "--user", "U1")
    _, out, error = run("audit", "export", "--format", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["event"] for row in rows] == ["grant", "revoke", "audit_read", "audit_read"]
    assert rows[0]["reason"] == "on call"
    assert rows[0]["detail"]["subject"] == "U1"
    assert rows[2]["detail"] == {"what": "list", "filters": {"user_id": "U1"}}
    assert f"head of the chain: 4 {rows[-1]['hash']}" in error
    assert [row["id"] for row in rows] == [1, 2, 3, 4]


def test_an_export_has_the_contract_s_columns(run: Run) -> None:
    run("access", "grant", "U1")
    _, out, _ = run("audit", "export")
    header, *rows = csv.reader(io.StringIO(out))
    promised = """id at event outcome request_id job_id status_before status_after team_id user_id user_name
        channel_id source reason grant_id detail prev_hash hash"""
    assert set(header) >= set(promised.split())
    assert len(rows) == 2


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula_and_numbers_stay_numbers(run: Run, start: str) -> None:
    run("migrate")
    database = Database("sqlite:///sift-retry.db", utc_now)
    with database.transaction() as connection:
        audit.append(connection, Entry(event=Event.REQUEST, reason=f"{start}1+1", grant_id=7), utc_now())
    database.close()
    _, out, _ = run("audit", "export", "--format", "csv")
    row = next(csv.DictReader(io.StringIO(out, newline="")))
    assert (row["reason"], row["grant_id"], row["id"]) == (f"'{start}1+1", "7", "1")


def test_an_export_goes_to_a_file_and_says_how_much(run: Run, tmp_path: Path) -> None:
    run("access", "grant", "U1")
    code, out, error = run("audit", "export", "--output", str(tmp_path / "audit.csv"))
    assert (code, out) == (0, "")
    assert error.startswith("2 entries; head of the chain: 2 ")
    assert len((tmp_path / "audit.csv").read_text().splitlines()) == 3


def test_verify_names_the_first_bad_entry_and_exits_1(run: Run) -> None:
    for user in ("U1", "U2", "U3"):
        run("access", "grant", user)
    code, out, _ = run("audit", "verify")
    assert code == 0
    assert out.startswith("3 entries, unbroken; head ")
    database = Database("sqlite:///sift-retry.db", utc_now)
    with database.transaction() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        connection.exec_driver_sql("UPDATE audit SET user_id = 'nobody' WHERE id = 2")
    database.close()
    code, out, error = run("audit", "verify")
    assert (code, out) == (1, "")
    assert "entry 2 " in error


def test_listing_shows_who_and_what_on_one_line_each(run: Run) -> None:
    run("migrate")
    database = Database("sqlite:///sift-retry.db", utc_now)
    with database.transaction() as connection:
        entry = Entry(
            event=Event.REQUEST,
            outcome="accepted",
            job_id="j",
            user_id="U1",
            user_name="Op",
            request_id="r",
            status_before="JOB_STATUS_FAILED",
            status_after="JOB_STATUS_CREATED",
            reason="a\nb\x1b[31m",
        )
        audit.append(connection, entry, utc_now())
        connection.execute(
            insert(job_runs).values(job_id="j", run_id="r-1", name_key="hotfire-118", name="Hotfire-118")
        )
    database.close()
    assert [len(run("audit", "list", "--run", one)[1].splitlines()) for one in ("R-1", "HotFire-118", "x")] == [1, 1, 0]
    _, out, _ = run("audit", "list", "--job", "J", "--since", "1d", "--outcome", "accepted")
    (line,) = out.splitlines()
    assert line.split("\t")[1:] == [
        "request",
        "accepted",
        "j",
        "Op (U1)",
        "JOB_STATUS_FAILED → JOB_STATUS_CREATED",
        "r",
        "a b [31m",
    ]


def test_a_database_out_of_reach_is_one_line_and_exit_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://bot:hush@127.0.0.1:9/bot")
    code, out, error = run("access", "list")
    assert (code, out) == (1, "")
    assert len(error.splitlines()) == 1
    assert "hush" not in error


def test_on_postgresql_an_old_schema_is_refused_with_the_way_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    database = Database(postgres_url, utc_now)
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    database.close()
    for name, value in {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SIFT_API_KEY": "k"}.items():
        monkeypatch.setenv(name, value)
    code, _, error = run("run")
    assert code == 1
    assert "run: sift-retry migrate" in error


@pytest.mark.parametrize(
    "command", ["run", "migrate", "access list", "audit list", "audit export", "audit verify", "audit anchor"]
)
def test_a_newer_schema_is_one_line_with_the_way_out(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    run("migrate")
    database = Database("sqlite:///sift-retry.db", utc_now)
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    for name, value in {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SIFT_API_KEY": "k"}.items():
        monkeypatch.setenv(name, value)
    code, out, error = run(*command.split())
    assert (code, out) == (1, "")
    assert error.splitlines()[-1].startswith("sift-retry: The database schema is at version 9999, newer than")
    assert "update the bot" in error
    assert "Traceback" not in error


def test_a_schema_of_no_bot_s_is_one_line(run: Run) -> None:
    run("migrate")
    database = Database("sqlite:///sift-retry.db", utc_now)
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'odd'")
    database.close()
    code, out, error = run("migrate")
    assert (code, out) == (1, "")
    assert len(error.splitlines()) == 1
    assert "cannot be upgraded" in error


def test_python_m_bot_is_the_same(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "bot", "access", "revoke", "U1"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr


def test_a_story_is_shown_whole(run: Run) -> None:
    run("migrate")
    database = Database("sqlite:///sift-retry.db", utc_now)
    with database.transaction() as connection:
        for outcome in ("requested", "sending"):
            entry = Entry(
                event=Event.REQUEST, outcome=outcome, request_id="r1", job_id="j", reason="a\nb", detail={"attempt": 2}
            )
            audit.append(connection, entry, utc_now())
    database.close()
    code, out, _ = run("audit", "show", "R1")
    assert code == 0
    assert [line.split("  ")[1] for line in out.splitlines() if not line.startswith(" ")] == [
        "request requested",
        "request sending",
    ]
    assert "    reason: a b" in out
    assert "    attempt: 2" in out
    code, out, error = run("audit", "show", "r2")
    assert (code, out) == (1, "")
    assert "no entries of a request r2" in error


def test_an_anchor_is_checked_later(run: Run) -> None:
    run("access", "grant", "U1")
    _, out, _ = run("audit", "anchor")
    head = out.split()[1]
    run("access", "grant", "U2")
    assert run("audit", "verify", "--head", head)[0] == 0
    assert run("audit", "verify", "--head", head.partition(":")[2])[0] == 0
    code, _, error = run("audit", "verify", "--head", f"1:{'0' * 64}")
    assert code == 1
    assert "entry 1 " in error


def test_old_entries_are_archived_and_checked(run: Run, tmp_path: Path) -> None:
    for user in ("U1", "U2", "U3"):
        run("access", "grant", user)
    file = tmp_path / "segment.jsonl"
    code, out, _ = run("audit", "archive", "--before", utc_now().isoformat(), "--output", str(file))
    assert code == 0
    assert out.startswith("entries 1 to 2 are in ")
    assert run("audit", "verify")[0] == 0
    code, out, _ = run("audit", "verify", "--segment", str(file))
    assert code == 0
    assert "entries 1 to 2, unbroken" in out
    assert "the log goes on where it ends" in out
    code, _, error = run("audit", "archive", "--before", utc_now().isoformat(), "--output", str(file))
    assert code == 1
    assert "exists already" in error
    code, _, error = run("audit", "archive", "--before", "2020-01-01", "--output", str(tmp_path / "none.jsonl"))
    assert code == 1
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "none.jsonl").exists()


def test_recovering_waits_until_no_bot_has_the_file(run: Run) -> None:
    run("access", "grant", "U1")
    database = Database("sqlite:///sift-retry.db", utc_now)
    database.claim_file()
    code, out, error = run("recover")
    assert (code, out, len(error.splitlines())) == (1, "", 1)
    assert "is in use by another bot" in error
    database.close()
    code, out, _ = run("recover")
    assert (code, out) == (0, "0 open requests will be read back and not sent again; 0 were refused\n")
    assert "recover" in run("audit", "list")[1]
    assert run("audit", "verify")[0] == 0


def test_verify_names_what_the_tables_say_otherwise_on_one_line(run: Run) -> None:
    run("access", "grant", "U1")
    database = Database("sqlite:///sift-retry.db", utc_now)
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE grants SET role = 'admin'")
        connection.exec_driver_sql("DROP TRIGGER audit_no_delete")
    database.close()
    code, out, error = run("audit", "verify")
    assert (code, out, len(error.splitlines())) == (1, "", 1)
    assert "grant 1 (U1, admin) has role admin in the table, operator by its entry" in error
    assert "trigger audit_no_delete is missing" in error


def test_several_segments_are_verified_with_the_log(run: Run, tmp_path: Path) -> None:
    for number in (1, 2):
        run("access", "grant", f"U{number}")
        run("access", "grant", "U9")
        assert run("audit", "archive", "--before", utc_now().isoformat(), "--output", f"{number}.jsonl")[0] == 0
    code, out, error = run("audit", "verify", "--segment", "2.jsonl", "--segment", "1.jsonl")
    assert (code, error) == (0, "")
    assert "1.jsonl: entries 1 to 1, unbroken" in out
    assert "2.jsonl goes on where it ends" in out
    assert "the log goes on where it ends" in out
    code, out, error = run("audit", "verify")
    assert code == 0
    assert "grants began before these entries, and were not checked" in error
    code, out, error = run("audit", "verify", "--segment", "1.jsonl", "--segment", "2.jsonl", "--head", "f" * 64)
    assert (code, out, len(error.splitlines())) == (1, "", 1)


@pytest.mark.parametrize("missing", ["cel", "jinja2", "websockets"])
def test_the_demo_without_its_extra_says_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    code, out, error = run("demo")
    assert (code, out) == (1, "")
    assert error == (
        "sift-retry: the demo needs the extra `demo`: pip install 'sift-retry-bot[demo]' (in a clone: make demo)\n"
    )
