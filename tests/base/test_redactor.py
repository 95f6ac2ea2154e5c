"""No secret is left in what was cleaned, however it is written; what is no secret stays."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bot.audit import log as audit
from bot.audit.entry import Entry, Event, Head
from bot.base.redactor import HIDDEN, Redactor
from bot.db.database import Database
from bot.db.guard import guard
from bot.db.tables import audit as audit_table
from bot.db.tables import grants, retries
from tests.conftest import NOW

KEY = "k3y+with/odd&\"chars'\\é="
REDACTOR = Redactor([KEY, "xoxb-1", "xoxb-1-and-longer", "operator", "k"], "https://slack.example/api/")


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        quote(KEY),
        quote(KEY, safe=""),
        json.dumps({"a": KEY}),
        json.dumps({"a": KEY}, ensure_ascii=False),
        repr(KEY),
        "k3y+with/odd&amp;&quot;chars&#x27;\\é=",
        *(base64.b64encode(f"{before}{KEY}:after".encode()).decode() for before in ("", "u", "us", "user:")),
        base64.urlsafe_b64encode(f"Bearer {KEY}".encode()).decode(),
    ],
)
def test_our_secrets_are_found_however_they_are_written(written: str) -> None:
    cleaned = REDACTOR.clean(f"before {written} after")
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")
    assert HIDDEN in cleaned
    assert "k3y" not in cleaned
    assert "azN5K3dpdG" not in cleaned


def test_of_two_secrets_the_longer_leaves_no_rest() -> None:
    assert REDACTOR.clean("xoxb-1-and-longer xoxb-1") == f"{HIDDEN} {HIDDEN}"


@pytest.mark.parametrize(
    "text", ["operator", "k", "", "xoxb", "JOB_STATUS_FAILED", "0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"]
)
def test_what_cannot_be_told_from_other_words_stays(text: str) -> None:
    assert REDACTOR.clean(text) == text


@given(st.text(), st.text())
def test_nothing_but_the_secret_is_changed(before: str, after: str) -> None:
    redactor = Redactor(["a-secret-7f3c"])
    assert "a-secret-7f3c" not in redactor.clean(f"{before}a-secret-7f3c{after}")
    if "secret-7f3c" not in before + after:
        assert redactor.clean(f"{before}{after}") == f"{before}{after}"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("token xoxb-92345678-abcdef is wrong", "token [secret] is wrong"),
        ("xoxe.xoxp-1-abcdefgh, xapp-1-A01-99-abc", "[secret], [secret]"),
        ('{"header": "Bearer abc123DEF.456-789"}', '{"header": "Bearer [secret]"}'),
        ("AUTHORIZATION: BEARER abc123DEF456", "AUTHORIZATION: BEARER [secret]"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [secret]"),
        ("Bearer authentication required", "Bearer authentication required"),
        ("at postgresql://bot:hush@db:5432/x failed", "at postgresql://bot:[secret]@db:5432/x failed"),
        ("wss://wss-primary.slack.com/link/?ticket=1&app_id=2 closed", "[socket address] closed"),
        ("POST https://hooks.slack.com/commands/T0/1/abc: 404", "POST [answer address] 404"),
        ("<https://hooks.slack.com/actions/T0/1/abc>", "<[answer address]>"),
        ("https://files.slack.com/upload/v1/ABC", "[upload address]"),
        ("https://hooks.slack-gov.com/actions/T0/1/abc", "[answer address]"),
        ("https://files.slack-gov.com/upload/v1/ABC", "[upload address]"),
        ("wss://wss-primary.slack-gov.com/link/?ticket=1 closed", "[socket address] closed"),
        ("https://slack.example/response/R1 https://slack.example/api/chat.update", None),
        ("s3://telemetry/hot-fire-12.csv", "s3://telemetry/hot-fire-12.csv"),
    ],
)
def test_other_people_s_secrets_are_known_by_their_shape(said: str, left: str | None) -> None:
    assert REDACTOR.scrub(said) == (left or "[answer address] https://slack.example/api/chat.update")


def test_a_value_is_cleaned_all_through() -> None:
    value = {"blocks": [{"text": f"the key is {KEY}"}, 7, None, True], "ts": "1.2"}
    assert REDACTOR.clean_all(value) == {"blocks": [{"text": f"the key is {HIDDEN}"}, 7, None, True], "ts": "1.2"}


def test_neither_rows_nor_the_audit_take_a_secret(database: Database) -> None:
    database.engine.dispose()
    guard(database.engine, REDACTOR)
    entry = Entry(
        event=Event.GRANT, user_name=KEY, reason=f"the key is {KEY}", detail={"said": [KEY], "role": "operator"}
    )
    row = {"subject": "U1", "role": "operator", "granted_by": "U2", "granted_at": NOW}
    with database.transaction() as connection:
        audit.append_all(connection, [entry, entry], NOW)
        connection.execute(grants.insert(), [{**row, "reason": KEY}, {**row, "reason": f"x{KEY}"}])
        connection.execute(grants.update().values(delivery_key=KEY).where(grants.c.id == 1))
        assert isinstance(audit.verify(connection), Head)
        (first, second) = connection.execute(select(audit_table)).all()
        rows = connection.execute(select(grants).order_by(grants.c.id)).all()
    assert first.user_name == HIDDEN
    assert second.reason == f"the key is {HIDDEN}"
    assert json.loads(second.detail) == {"said": [HIDDEN], "role": "operator"}
    assert [(row.role, row.reason, row.delivery_key) for row in rows] == [
        ("operator", HIDDEN, HIDDEN),
        ("operator", f"x{HIDDEN}", None),
    ]


def test_an_error_of_the_database_quotes_no_value(database: Database) -> None:
    database.engine.dispose()
    guard(database.engine, REDACTOR)
    row = {
        "id": "r",
        "delivery_key": "people's words",
        "job_id": "j",
        "team_id": "T0",
        "user_id": "U1",
        "source": "command",
        "created_at": NOW,
        "response_url": "https://hooks.slack.com/commands/1",
    }
    with pytest.raises(IntegrityError) as caught, database.transaction() as connection:
        connection.execute(retries.insert(), {**row, "state": "no such state"})
    said = f"{caught.value} {caught.value.orig} {caught.value!r}"
    assert "state" in said
    for word in ("people's words", "hooks.slack.com", "no such state"):
        assert word not in said
