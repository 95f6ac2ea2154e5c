"""The contract: Sift's own protobuf messages (PyPI sift-stack-py) read what we take for Sift's, and we read theirs."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict, Parse
from google.protobuf.message import Message
from sift.assets.v1.assets_pb2 import ListAssetsResponse
from sift.data_imports.v2.data_imports_pb2 import GetDataImportResponse, ListDataImportsResponse
from sift.exports.v1.exports_pb2 import (
    AssetsAndTimeRange,
    CalculatedChannelConfig,
    ExportDataRequest,
    ExportOptions,
    ExportOutputFormat,
    RunsAndTimeRange,
    TimeRange,
)
from sift.jobs.v1 import jobs_pb2
from sift.jobs.v1.jobs_pb2 import CancelJobResponse, ListJobsResponse, RetryJobResponse
from sift.me.v2.me_pb2 import GetMeResponse
from sift.ping.v1.ping_pb2 import PingResponse
from sift.reports.v1.reports_pb2 import (
    REPORT_RULE_STATUS_FAILED,
    GetReportResponse,
    ListReportsResponse,
    RerunReportResponse,
)
from sift.rules.v1.rules_pb2 import BatchGetRulesResponse
from sift.runs.v2.runs_pb2 import ListRunsResponse
from sift.users.v2.users_pb2 import GetUserResponse

from bot.app.server import serving
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.sift.jobs import EXPORT, KEY_USER, OWNER
from bot.sift.job import Job
from tests.conftest import HandClock

SAMPLES = Path(__file__).parent.parent.parent.parent / "shared" / "sift" / "samples"
NEWER = "8d9e0f1a-2b3c-4d4e-9f5a-6b7c8d9e0f18"


def sample(name: str) -> Any:
    path = SAMPLES / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"Sift's samples are not at {SAMPLES}")
    return json.loads(path.read_text())


def understood(message: Message, answer: Any) -> Any:
    """Has Sift's own message read an answer; a field or value it does not know is an error."""
    Parse(json.dumps(answer), message)
    return message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("list-jobs", ListJobsResponse()),
        ("retry-job-accepted", RetryJobResponse()),
        ("retry-job-unchanged", RetryJobResponse()),
    ],
)
def test_the_samples_are_what_sift_says_and_our_models_read_them(name: str, message: Message) -> None:
    answer = sample(name)
    theirs = understood(message, answer)
    jobs = answer.get("jobs") or [answer["job"]]
    for ours, their in zip(map(Job.model_validate, jobs), getattr(theirs, "jobs", None) or [theirs.job], strict=True):
        same(ours, their)


def same(ours: Job, theirs: jobs_pb2.Job) -> None:
    """Whether our model holds what Sift's message holds."""
    assert ours.job_id == theirs.job_id
    assert ours.modified_by_user_id == theirs.modified_by_user_id
    assert ours.job_type == jobs_pb2.JobType.Name(theirs.job_type)
    assert ours.job_status == jobs_pb2.JobStatus.Name(theirs.job_status)
    for name in ("created_date", "modified_date", "started_date", "completed_date"):
        moment = getattr(ours, name)
        assert (moment is None) is not theirs.HasField(name)
        if moment is not None:
            assert int(moment.timestamp()) == getattr(theirs, name).seconds
    points = theirs.job_status_details.data_import
    if ours.job_status_details and ours.job_status_details.data_import:
        assert ours.job_status_details.data_import.points_processed == points.points_processed
        assert ours.job_status_details.data_import.points_total == points.points_total
    if ours.job_details and ours.job_details.data_export and ours.job_details.data_export.request:
        request, their = ours.job_details.data_export.request, theirs.job_details.data_export.request
        assert list(request.channel_ids) == list(their.channel_ids)
        assert [c.name for c in request.calculated_channel_configs] == [
            c.name for c in their.calculated_channel_configs
        ]


def test_a_job_from_a_newer_sift_is_read_as_far_as_it_goes() -> None:
    job = Job.model_validate(sample("job-from-a-newer-sift")["job"])
    assert (job.job_type, job.job_status) == ("JOB_TYPE_CANVAS_EXECUTION", "JOB_STATUS_PAUSED")
    assert (job.started_date, job.completed_date, job.job_details) == (None, None, None)
    assert not job.ended
    assert not job.retryable


@pytest.fixture
async def sift(clock: HandClock) -> AsyncIterator[tuple[EmbeddedSift, httpx.AsyncClient]]:
    embedded = EmbeddedSift(clock=clock, run_seconds=10)
    headers = {"Authorization": f"Bearer {embedded.api_key}"}
    async with serving(embedded.app) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        yield embedded, client


async def test_the_embedded_sift_answers_as_sift_does(
    sift: tuple[EmbeddedSift, httpx.AsyncClient], clock: HandClock
) -> None:
    embedded, client = sift
    failed = [job for job in embedded.jobs.values() if job.retryable(clock())]
    for job in [*failed, embedded.add(EXPORT), embedded.add(EXPORT, then=["fail"])]:
        understood(RetryJobResponse(), (await client.post(f"/api/v1/jobs/{job.job_id}:retry")).json())
    for seconds in (0, 2, 5, 9):
        clock.advance(seconds)
        answer = (await client.get("/api/v1/jobs", params={"pageSize": "1000"})).json()
        answer["jobs"] = [job for job in answer["jobs"] if job["jobId"] != NEWER]
        theirs = understood(ListJobsResponse(), answer)
        for ours, their in zip(answer["jobs"], theirs.jobs, strict=True):
            same(Job.model_validate(ours), their)
    understood(PingResponse(), (await client.get("/api/v1/ping")).json())
    understood(GetMeResponse(), (await client.get("/api/v2/me")).json())


READ: dict[str, Message] = {
    "/api/v2/data-imports": ListDataImportsResponse(),
    "/api/v1/reports": ListReportsResponse(),
    "/api/v2/runs": ListRunsResponse(),
    "/api/v1/assets": ListAssetsResponse(),
}


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("seconds", [0, 3, 20])
async def test_what_jobs_are_about_is_listed_as_sift_does(
    sift: tuple[EmbeddedSift, httpx.AsyncClient], clock: HandClock, path: str, seconds: int
) -> None:
    embedded, client = sift
    for job in embedded.outage(30):
        job.retry(clock(), 10, KEY_USER)
    clock.advance(seconds)
    answer = (await client.get(path, params={"pageSize": "1000"})).json()
    theirs = understood(READ[path], answer)
    (listed,) = (value for name, value in answer.items() if name != "nextPageToken")
    assert listed
    assert len(listed) == len(next(value for field, value in theirs.ListFields() if field.name != "next_page_token"))


async def test_one_of_each_is_read_as_sift_does(sift: tuple[EmbeddedSift, httpx.AsyncClient]) -> None:
    embedded, client = sift
    details = embedded.jobs["0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"].details or {}
    answer = (await client.get(f"/api/v2/data-imports/{details['dataImport']['dataImportId']}")).json()
    found = understood(GetDataImportResponse(), answer).data_import
    assert (found.error_message, found.csv_config.run_name) == (
        "column 'tank_pressure_kpa' is not a number in row 4,512",
        "hotfire-118",
    )
    details = embedded.jobs["6b0a7c1e-95b5-4b53-9a3e-0b8f3a8d2c11"].details or {}
    report_id = details["ruleEvaluation"]["reportId"]
    report = understood(GetReportResponse(), (await client.get(f"/api/v1/reports/{report_id}")).json()).report
    failed = [one for one in report.summaries if one.status == REPORT_RULE_STATUS_FAILED]
    assert (len(failed), len(report.summaries)) == (2, 40)
    assert failed[0].status_details.failed.error_message == "channel not found: engine.chamber_pressure_1"
    assert failed[0].status_details.failed.exit_code == 1
    rules = (await client.post("/api/v1/rules:batchGet", json={"ruleIds": [one.rule_id for one in failed]})).json()
    assert [rule.name for rule in understood(BatchGetRulesResponse(), rules).rules] == [
        "chamber_pressure_max",
        "injector_dp_min",
    ]
    user = (await client.get(f"/api/v2/users/{OWNER}")).json()
    assert understood(GetUserResponse(), user).user.user_name == "operator@sandbox.example"
    again = (await client.post(f"/api/v1/reports/{report_id}:rerun")).json()
    new = understood(RerunReportResponse(), again)
    newer = understood(GetReportResponse(), (await client.get(f"/api/v1/reports/{new.report_id}")).json()).report
    assert (newer.rerun_from_report_id, newer.job_id) == (report_id, new.job_id)
    understood(CancelJobResponse(), (await client.post(f"/api/v1/jobs/{new.job_id}:cancel")).json())


def request_of(selection: str) -> ExportDataRequest:
    moments = TimeRange()
    moments.start_time.FromJsonString("2026-11-19T00:00:00.123456789Z")
    moments.stop_time.FromJsonString("2026-11-19T06:00:00Z")
    span = {"start_time": moments.start_time, "stop_time": moments.stop_time}
    selections: dict[str, dict[str, Any]] = {
        "time_range": {"time_range": moments},
        "runs": {"runs_and_time_range": RunsAndTimeRange(run_ids=["r1", "r2"], **span)},
        "assets": {"assets_and_time_range": AssetsAndTimeRange(asset_ids=["a1"], **span)},
    }
    return ExportDataRequest(
        **selections[selection],
        channel_ids=["c1"],
        output_format=ExportOutputFormat.EXPORT_OUTPUT_FORMAT_CSV,
        calculated_channel_configs=[CalculatedChannelConfig(name="margin", expression="$1")],
        export_options=ExportOptions(combine_runs=True),
    )


@pytest.mark.parametrize("everything", [True, False], ids=["with defaults", "without"])
@pytest.mark.parametrize("selection", ["time_range", "runs", "assets"])
def test_we_read_an_export_as_sift_prints_it(selection: str, everything: bool) -> None:
    theirs = jobs_pb2.Job(job_id="j", job_type=jobs_pb2.JOB_TYPE_DATA_EXPORT, job_status=jobs_pb2.JOB_STATUS_FAILED)
    theirs.job_status_details.data_export.error_message = "no data"
    theirs.job_details.data_export.request.CopyFrom(request_of(selection))
    ours = Job.model_validate(MessageToDict(theirs, always_print_fields_with_no_presence=everything))
    same(ours, theirs)
    assert ours.job_status_details is not None
    assert ours.job_status_details.data_export is not None
    assert ours.job_status_details.data_export.error_message == "no data"
    assert ours.job_details is not None
    assert ours.job_details.data_export is not None
    request = ours.job_details.data_export.request
    assert request is not None
    assert request.output_format == "EXPORT_OUTPUT_FORMAT_CSV"
    assert request.export_options is not None
    assert request.export_options.combine_runs
    chosen = request.time_range or request.runs_and_time_range or request.assets_and_time_range
    assert chosen is not None
    assert chosen.stop_time is not None
    assert chosen.start_time == chosen.stop_time - timedelta(hours=6) + timedelta(microseconds=123_456)
    runs, assets = request.runs_and_time_range, request.assets_and_time_range
    assert [runs.run_ids if runs else (), assets.asset_ids if assets else ()] == {
        "time_range": [(), ()],
        "runs": [("r1", "r2"), ()],
        "assets": [(), ("a1",)],
    }[selection]


@pytest.mark.parametrize("everything", [True, False], ids=["with defaults", "without"])
@pytest.mark.parametrize("status", [name for name, _ in jobs_pb2.JobStatus.items() if "UNSPECIFIED" not in name])
@pytest.mark.parametrize("kind", ["data_import", "rule_evaluation"])
def test_we_read_every_kind_and_status_as_sift_prints_it(kind: str, status: str, everything: bool) -> None:
    theirs = jobs_pb2.Job(
        job_id="j",
        job_type=jobs_pb2.JobType.Value(f"JOB_TYPE_{kind.upper()}"),
        job_status=jobs_pb2.JobStatus.Value(status),
    )
    if kind == "data_import":
        theirs.job_status_details.data_import.points_processed = 2**64 - 1
        theirs.job_status_details.data_import.points_total = 2**64 - 1
        theirs.job_details.data_import.data_import_id = "d"
    else:
        theirs.job_status_details.rule_evaluation.SetInParent()
        theirs.job_details.rule_evaluation.report_id = "r"
    ours = Job.model_validate(MessageToDict(theirs, always_print_fields_with_no_presence=everything))
    same(ours, theirs)
    assert Job.model_validate_json(ours.model_dump_json(by_alias=True, exclude_none=True)) == ours
