"""Whatever is parsed: a typed result, or the one error that the parser names; nothing else, and bounded."""

import contextlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.access.request import from_grant_view, grant_of_click
from bot.app import command as command_types
from bot.app import commands
from bot.audit.entry import Event
from bot.base.clock import parse_duration
from bot.base.errors import SettingsError
from bot.base.requester import Source
from bot.retries.payloads import from_retry_view, job_of_click
from bot.retries.request import MAX_JOBS
from bot.retries.word import of_click, of_view
from bot.settings import Settings, load
from bot.sift import cause, ids
from bot.sift.data_import import DataImport
from bot.sift.job import Job
from bot.sift.report import Report
from bot.sift.resources import Asset, Run
from bot.slack import payloads
from bot.slack.payloads import Malformed
from tests.fuzz.conftest import fuzzing
from tests.fuzz.mutations import mutated, texts, values
from tests.slack import test_payloads as real

BODIES = [
    *(real.COMMAND, real.IN_CHANNEL, real.IN_THREAD, real.EPHEMERAL, real.IN_HOME),
    *(real.SUBMISSION, real.CLOSED, real.SHORTCUT, real.MENTION),
]
WORDS = ["retry", "list", "status", "audit", "stats", "allow", "revoke", "for", "because", "8h", "<@U0ADA|ada>", "run"]
typed = st.lists(st.sampled_from([*WORDS, real.JOB, f"<https://app/{real.JOB}|x>"]) | texts, max_size=12).map(" ".join)


@fuzzing(300)
@given(typed)
def test_what_is_typed_is_a_command_or_a_usage_error(text: str) -> None:
    for parse in (commands.parse, commands.parse_mention):
        command = parse(text)
        assert isinstance(command, command_types.Command)
        if isinstance(command, command_types.Retry):
            assert 0 < len(command.job_ids) <= MAX_JOBS
            assert all(ids.JOB_ID.fullmatch(job_id) and job_id == job_id.lower() for job_id in command.job_ids)
        if isinstance(command, command_types.Usage):
            assert len(command.given) < 500


@fuzzing(200)
@given(values)
def test_job_ids_are_found_in_anything(content: Any) -> None:
    assert all(ids.JOB_ID.fullmatch(job_id) for job_id in ids.job_ids_in(content))
    if isinstance(content, str):
        found = ids.job_id_in(content)
        assert found is None or ids.JOB_ID.fullmatch(found)


@fuzzing(200)
@given(texts | st.from_regex(r"[0-9]{1,30}[smhdw]?", fullmatch=True))
def test_a_duration_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration(text) > timedelta(0)


READERS: list[Callable[[Mapping[str, Any]], Any]] = [
    payloads.requester_of_command,
    lambda body: payloads.requester_of_click(body, Source.ALERT),
    lambda body: payloads.requester_of_mention(body, "T0OURS"),
    *(payloads.trigger_of, payloads.value_of, payloads.inputs_of, job_of_click, grant_of_click),
    *(from_retry_view, from_grant_view, lambda body: of_click(body, Event.APPROVAL)),
    *(partial(of_view, event=event) for event in (Event.APPROVAL, Event.DECLINE, Event.BREAK_GLASS)),
]


@fuzzing(300)
@given(mutated(BODIES))
def test_a_payload_is_read_or_malformed(body: Any) -> None:
    for read in READERS:
        with contextlib.suppress(Malformed):
            read(body)
    payloads.requester_somehow(body)


@fuzzing(150)
@given(st.sampled_from(sorted(Settings.model_fields)), texts)
def test_a_setting_is_taken_or_named(name: str, value: str) -> None:
    environment = {
        "SLACK_BOT_TOKEN": "xoxb-x",
        "SLACK_APP_TOKEN": "xapp-x",
        "SIFT_API_KEY": "key",
        name.upper(): value,
    }
    problems: list[str] = []
    try:
        load(Settings, environment)
    except SettingsError as error:
        problems = error.problems
    assert all(name.upper().removesuffix("_FILE") in problem for problem in problems)


JOB = {
    "jobId": real.JOB,
    "organizationId": "o",
    "createdByUserId": "u",
    "modifiedByUserId": "u",
    "createdDate": "2026-11-24T10:00:00Z",
    "modifiedDate": "2026-11-24T10:00:00.123456789Z",
    "jobType": "JOB_TYPE_DATA_IMPORT",
    "jobStatus": "JOB_STATUS_FAILED",
    "jobDetails": {"dataImport": {}},
    "jobStatusDetails": {"dataImport": {"pointsProcessed": "1", "pointsTotal": "2"}},
}


@pytest.mark.parametrize("kind", [Job, DataImport, Report, Run, Asset])
def test_what_sift_sends_is_read_or_no_such_thing(kind: Any) -> None:
    @fuzzing(150)
    @given(mutated([JOB, {"runs": [JOB]}, {"summaries": [{"rule": JOB}]}]) | values)
    def read(value: Any) -> None:
        with contextlib.suppress(ValidationError):
            kind.model_validate(value)

    read()


@fuzzing(200)
@given(texts | st.text(max_size=5_000))
def test_a_cause_is_normalised_once_and_for_all(text: str) -> None:
    assert len(cause.normalised(text)) <= len(text) + 1_000
    json.dumps(cause.normalised(text))
