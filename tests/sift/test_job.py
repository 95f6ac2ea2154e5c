"""Our models of Sift's answers: nothing lost, and nothing a newer Sift sends is an error."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.sift.job import ENDED, RETRYABLE, Job


def job(**fields: Any) -> Job:
    return Job.model_validate({"jobId": "j", **fields})


def test_a_job_of_which_only_the_id_is_known_is_a_job() -> None:
    assert (job().job_id, job().job_status, job().created_date, job().job_details) == ("j", "", None, None)


@pytest.mark.parametrize(
    ("job_type", "kind"),
    [
        ("JOB_TYPE_DATA_IMPORT", "data_import"),
        ("JOB_TYPE_RULE_EVALUATION", "rule_evaluation"),
        ("JOB_TYPE_TELEPORT", "teleport"),
        ("Odd", "odd"),
        (None, ""),
    ],
)
def test_a_kind_is_what_settings_and_grants_call_a_type(job_type: str | None, kind: str) -> None:
    assert job(jobType=job_type).kind == kind


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T08:00:00Z", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T08:00:00.5Z", datetime(2026, 11, 20, 8, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-20T08:00:00.123456789Z", datetime(2026, 11, 20, 8, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-11-20T10:00:00.000000001+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T08:00:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        (None, None),
        ("", None),
        ("soon", None),
        ("9999-99-99T00:00:00Z", None),
        (1_700_000_000, None),
        ({}, None),
    ],
)
def test_moments_are_read_to_the_microsecond_or_left_out(text: Any, moment: datetime | None) -> None:
    assert job(completedDate=text).completed_date == moment


@pytest.mark.parametrize(
    ("value", "points"),
    [
        ("9007199254740993", 9_007_199_254_740_993),
        (str(2**64 - 1), 2**64 - 1),
        ("0", 0),
        (7, 7),
        ("-1", None),
        ("many", None),
        (None, None),
        (True, None),
        ([], None),
    ],
)
def test_points_lose_nothing(value: Any, points: int | None) -> None:
    read = job(jobStatusDetails={"dataImport": {"pointsTotal": value}}).job_status_details
    assert read is not None
    assert read.data_import is not None
    assert read.data_import.points_total == points


@pytest.mark.parametrize(
    "odd",
    [
        {"jobStatusDetails": []},
        {"jobStatusDetails": {"dataImport": 7}},
        {"jobDetails": "x"},
        {"jobDetails": {"dataExport": {"request": [1]}}},
        {"jobDetails": {"dataExport": {"request": {"exportOptions": {"combineRuns": "perhaps"}}}}},
        {"jobDetails": {"dataExport": {"request": {"channelIds": None, "calculatedChannelConfigs": None}}}},
        {"jobDetails": {"canvasExecution": {"cells": 3}}},
        {"jobType": None, "jobStatus": 7, "organizationId": []},
        {"priority": 7},
    ],
)
def test_another_shape_is_left_out_rather_than_an_error(odd: dict[str, Any]) -> None:
    assert job(**odd).job_id == "j"


def test_a_new_status_is_kept_and_neither_ended_nor_retryable() -> None:
    paused = job(jobStatus="JOB_STATUS_PAUSED")
    assert (paused.job_status, paused.ended, paused.retryable) == ("JOB_STATUS_PAUSED", False, False)
    assert RETRYABLE < ENDED


def test_a_job_comes_back_from_the_database_as_it_was() -> None:
    export = {"request": {"timeRange": {"startTime": "2026-11-20T08:00:00.123456789Z"}, "channelIds": ["a", "b"]}}
    whole = job(
        jobStatus="JOB_STATUS_FAILED",
        createdDate="2026-11-20T08:00:00.123456789Z",
        jobStatusDetails={"dataImport": {"pointsProcessed": str(2**64 - 1)}},
        jobDetails={"dataExport": export},
    )
    stored = whole.model_dump_json(by_alias=True, exclude_none=True)
    assert Job.model_validate_json(stored) == whole
    assert json.loads(stored)["jobDetails"]["dataExport"]["request"]["channelIds"] == ["a", "b"]
