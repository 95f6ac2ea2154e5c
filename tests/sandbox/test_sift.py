"""The embedded Sift: a day of hot-fire tests that can be listed, retried, evaluated again and cancelled."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bot.app.server import serving
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.sift.jobs import CANCELLED, CREATED, EVALUATION, FAILED, FINISHED, IMPORT, KEY_USER, RUNNING
from bot.sandbox.sift.records import DataImport, Report
from tests.conftest import HandClock

SECONDS = 10.0
FAILED_IMPORT = "status == 'DATA_IMPORT_STATUS_FAILED'"


@pytest.fixture
def sift(clock: HandClock) -> EmbeddedSift:
    return EmbeddedSift(clock=clock, run_seconds=SECONDS, cancel_seconds=2)


@pytest.fixture
async def http(sift: EmbeddedSift) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {sift.api_key}"}
    async with serving(sift.app) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=5) as client:
        yield client


async def listed(http: httpx.AsyncClient, path: str, condition: str = "", **more: Any) -> list[dict[str, Any]]:
    """What a list holds, all pages of it."""
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        parameters = {"filter": condition, "pageToken": token, **more}
        answer = (await http.get(path, params=parameters)).raise_for_status().json()
        token = answer.pop("nextPageToken")
        (page,) = answer.values()
        found += page
        if not token:
            return found


def import_of(sift: EmbeddedSift, run: str) -> DataImport:
    return next(one for one in sift.data_imports.values() if one.run.name == run)


class TestTheStory:
    def test_it_is_the_same_each_time(self, clock: HandClock) -> None:
        first, second = EmbeddedSift(clock=clock), EmbeddedSift(clock=clock)
        for sift in (first, second):
            sift.outage(30)
        for things in ("jobs", "runs", "assets", "rules", "reports", "data_imports"):
            assert list(getattr(first, things)) == list(getattr(second, things))
        now = clock()
        assert [job.as_sift(now) for job in first.jobs.values()] == [job.as_sift(now) for job in second.jobs.values()]

    async def test_a_failed_import_says_which_file_of_which_run_and_what_is_wrong(
        self, sift: EmbeddedSift, http: httpx.AsyncClient
    ) -> None:
        (found,) = await listed(http, "/api/v2/data-imports", FAILED_IMPORT)
        assert found["sourceUrl"] == "s3://stand-data/hotfire/telemetry_0412.csv"
        assert found["errorMessage"] == "column 'tank_pressure_kpa' is not a number in row 4,512"
        assert found["warningMessages"] == ["2 columns without data were left out: lox_temp_3, lox_temp_4"]
        assert found["csvConfig"] == {"assetName": "stand-2", "runName": "hotfire-118"}
        (run,) = await listed(http, "/api/v2/runs", f"run_id in ['{found['runId']}']")
        (asset,) = await listed(http, "/api/v1/assets", f"asset_id in ['{found['assetId']}']")
        assert (run["name"], asset["name"], run["assetIds"]) == ("hotfire-118", "stand-2", [found["assetId"]])
        assert (found["dataStartTime"], found["dataStopTime"]) == (run["startTime"], run["stopTime"])

    async def test_an_outage_shares_its_causes(self, sift: EmbeddedSift) -> None:
        jobs = sift.outage(25)
        assert sum("tank_pressure_kpa" in job.reason for job in jobs) >= 4
        assert {job.subject.partition(" · ")[0] for job in jobs} >= {"hotfire-118", "hotfire-119", "hotfire-120"}

    async def test_an_outage_of_given_runs(self, sift: EmbeddedSift, http: httpx.AsyncClient) -> None:
        runs = [sift.add_run(f"hotfire-{number}", minutes_ago=number) for number in range(200, 240)]
        jobs = sift.outage(120, runs)
        assert {job.subject.partition(" · ")[0] for job in jobs} == {run.name for run in runs}
        assert len(await listed(http, "/api/v2/runs", "name.startsWith('hotfire-2')")) == 40

    async def test_a_run_that_is_planned_exists_once_its_data_is_there(
        self, sift: EmbeddedSift, http: httpx.AsyncClient, clock: HandClock
    ) -> None:
        planned = "name == 'hotfire-120'"
        job = sift.add(IMPORT, run=sift.run_named("hotfire-120"))
        (found,) = await listed(http, "/api/v2/data-imports", f"{FAILED_IMPORT} && run_id == ''")
        assert await listed(http, "/api/v2/runs", planned) == []
        assert next(value for name, value in found.items() if name.endswith("Config"))["runName"] == "hotfire-120"
        assert found.keys().isdisjoint({"runId", "assetId", "dataStartTime"})
        await http.post(f"/api/v1/jobs/{job.job_id}:retry")
        clock.advance(SECONDS)
        (run,) = await listed(http, "/api/v2/runs", planned)
        (found,) = await listed(http, "/api/v2/data-imports", f"run_id == '{run['runId']}'")
        assert found["status"] == "DATA_IMPORT_STATUS_SUCCEEDED"

    async def test_data_that_comes_late_finds_reports_that_were_evaluated_before(
        self, sift: EmbeddedSift, http: httpx.AsyncClient, clock: HandClock
    ) -> None:
        late = import_of(sift, "hotfire-118")
        await http.post(f"/api/v1/jobs/{late.job.job_id}:retry")
        clock.advance(SECONDS)
        job = late.job.as_sift(clock())
        assert job["jobStatus"] == FINISHED
        reports = await listed(http, "/api/v1/reports", f"run_id == '{late.run.run_id}'")
        done = [report for report in reports if sift.jobs[report["jobId"]].status(clock()) == FINISHED]
        assert sorted(report["name"] for report in done) == ["Chill-down", "Hot-fire limits", "Start sequence"]
        assert all(report["createdDate"] < job["completedDate"] for report in done)


class TestLists:
    async def test_pages_and_orders(self, sift: EmbeddedSift, http: httpx.AsyncClient, clock: HandClock) -> None:
        for _ in range(5):
            clock.advance(1)
            sift.add(IMPORT)
        oldest_first = await listed(http, "/api/v2/data-imports", FAILED_IMPORT, pageSize="2")
        newest_first = await listed(http, "/api/v2/data-imports", FAILED_IMPORT, orderBy="created_date desc")
        assert len(oldest_first) == 6
        assert oldest_first == newest_first[::-1]
        runs = await listed(http, "/api/v2/runs")
        assert runs == sorted(runs, key=lambda run: str(run["createdDate"]), reverse=True)
        by_name = await listed(http, "/api/v2/runs", orderBy="name")
        assert [run["name"] for run in by_name] == [
            "coldflow-031",
            *(f"hotfire-{number}" for number in range(116, 120)),
        ]

    @pytest.mark.parametrize(
        ("condition", "names"),
        [
            ("name == 'hotfire-118'", ["hotfire-118"]),
            ("name.matches('(?i)^HOTFIRE-11[89]$')", ["hotfire-119", "hotfire-118"]),
            ("name.startsWith('cold')", ["coldflow-031"]),
            ("stop_time < timestamp('2000-01-01T00:00:00Z')", []),
            ("run_id in ['none', 'at all']", []),
        ],
    )
    async def test_runs_are_filtered(self, http: httpx.AsyncClient, condition: str, names: list[str]) -> None:
        assert [run["name"] for run in await listed(http, "/api/v2/runs", condition)] == names

    @pytest.mark.parametrize(
        ("path", "parameters"),
        [
            ("/api/v2/runs", {"filter": "nonsense == 1"}),
            ("/api/v2/runs", {"filter": "name =="}),
            ("/api/v2/data-imports", {"filter": "created_date > timestamp('2026-01-01T00:00:00Z')"}),
            ("/api/v1/reports", {"filter": "job_id == 'x'"}),
            ("/api/v1/assets", {"orderBy": "color"}),
            ("/api/v1/assets", {"pageToken": "eA=="}),
        ],
    )
    async def test_what_sift_does_not_know_is_refused(
        self, http: httpx.AsyncClient, path: str, parameters: dict[str, str]
    ) -> None:
        response = await http.get(path, params=parameters)
        assert (response.status_code, response.json()["code"]) == (400, 3)

    async def test_a_list_of_reports_may_come_without_summaries(
        self, sift: EmbeddedSift, http: httpx.AsyncClient
    ) -> None:
        assert all(report["summaries"] for report in await listed(http, "/api/v1/reports"))
        sift.lists_summaries = False
        reports = await listed(http, "/api/v1/reports")
        assert not any(report["summaries"] for report in reports)
        one = (await http.get(f"/api/v1/reports/{reports[0]['reportId']}")).json()["report"]
        assert one["summaries"]

    async def test_a_url_that_no_proxy_lets_through_is_refused(self, http: httpx.AsyncClient) -> None:
        response = await http.get("/api/v1/jobs", params={"filter": f"job_id in ['{'x' * 8_000}']"})
        assert response.status_code == 414

    @pytest.mark.parametrize("path", ["data-imports/x", "users/x"])
    async def test_what_is_not_there_is_not_found(self, http: httpx.AsyncClient, path: str) -> None:
        assert (await http.get(f"/api/v2/{path}")).status_code == 404


class TestRerun:
    def failed(self, sift: EmbeddedSift) -> Report:
        return next(report for report in sift.reports.values() if report.job.rest == FAILED)

    async def test_a_report_is_evaluated_again_in_a_new_one(
        self, sift: EmbeddedSift, http: httpx.AsyncClient, clock: HandClock
    ) -> None:
        report = self.failed(sift)
        answer = (await http.post(f"/api/v1/reports/{report.report_id}:rerun")).json()
        new = sift.reports[answer["reportId"]]
        assert (new.rerun_from, new.run, new.name, new.rules) == (
            report.report_id,
            report.run,
            report.name,
            report.rules,
        )
        job = sift.jobs[answer["jobId"]].as_sift(clock())
        assert (job["jobStatus"], job["jobType"], job["createdByUserId"]) == (CREATED, EVALUATION, KEY_USER)
        clock.advance(SECONDS)
        again = (await http.get(f"/api/v1/reports/{new.report_id}")).json()["report"]
        assert {one["status"] for one in again["summaries"]} == {"REPORT_RULE_STATUS_FINISHED"}
        assert report.job.status(clock()) == FAILED, "the report as it was stays as it was"

    async def test_it_may_fail_again(self, sift: EmbeddedSift, http: httpx.AsyncClient, clock: HandClock) -> None:
        sift.rerun_outcomes = ["fail"]
        answer = (await http.post(f"/api/v1/reports/{self.failed(sift).report_id}:rerun")).json()
        clock.advance(SECONDS)
        again = (await http.get(f"/api/v1/reports/{answer['reportId']}")).json()["report"]
        assert sum(one["status"] == "REPORT_RULE_STATUS_FAILED" for one in again["summaries"]) == 2

    async def test_of_no_report_there_is_none(self, http: httpx.AsyncClient) -> None:
        assert (await http.post("/api/v1/reports/none:rerun")).status_code == 404


class TestCancel:
    async def cancel(self, http: httpx.AsyncClient, job_id: str) -> None:
        response = await http.post(f"/api/v1/jobs/{job_id}:cancel")
        assert (response.status_code, response.json()) == (200, {})

    async def test_what_waits_is_cancelled_at_once(
        self, sift: EmbeddedSift, http: httpx.AsyncClient, clock: HandClock
    ) -> None:
        job = sift.add()
        sift.retry_outside(job.job_id, KEY_USER)
        await self.cancel(http, job.job_id)
        assert job.status(clock()) == CANCELLED
        assert job.retryable(clock())

    async def test_what_runs_is_cancelled_a_little_later(
        self, sift: EmbeddedSift, http: httpx.AsyncClient, clock: HandClock
    ) -> None:
        retried = sift.add()
        sift.retry_outside(retried.job_id, KEY_USER)
        clock.advance(2)
        for job in (retried, sift.add(status=RUNNING)):
            began = clock()
            await self.cancel(http, job.job_id)
            assert job.as_sift(clock())["jobStatus"] == "JOB_STATUS_CANCEL_REQUESTED"
            assert "completedDate" not in job.as_sift(clock())
            clock.advance(2)
            assert job.as_sift(clock())["jobStatus"] == CANCELLED
            assert job.as_sift(clock())["completedDate"] > began.isoformat()
            assert job.as_sift(clock())["modifiedByUserId"] == KEY_USER

    @pytest.mark.parametrize(("then", "ends"), [("finish", FINISHED), ("fail", FAILED)])
    async def test_what_is_faster_ends_as_it_would(
        self, sift: EmbeddedSift, http: httpx.AsyncClient, clock: HandClock, then: str, ends: str
    ) -> None:
        job = sift.add(then=[then])
        sift.retry_outside(job.job_id, KEY_USER)
        clock.advance(SECONDS - 1)
        await self.cancel(http, job.job_id)
        clock.advance(1)
        assert job.status(clock()) == ends
        clock.advance(5)
        assert job.status(clock()) == ends

    async def test_what_is_over_stays_so(self, sift: EmbeddedSift, http: httpx.AsyncClient, clock: HandClock) -> None:
        for status in (FINISHED, FAILED, CANCELLED):
            job = sift.add(status=status)
            before = job.as_sift(clock())
            await self.cancel(http, job.job_id)
            assert job.as_sift(clock()) == before


CALLS = {
    "data_imports": ("GET", "/api/v2/data-imports"),
    "import": ("GET", "/api/v2/data-imports/x"),
    "reports": ("GET", "/api/v1/reports"),
    "report": ("GET", "/api/v1/reports/x"),
    "rerun": ("POST", "/api/v1/reports/x:rerun"),
    "runs": ("GET", "/api/v2/runs"),
    "assets": ("GET", "/api/v1/assets"),
    "rules": ("POST", "/api/v1/rules:batchGet"),
    "user": ("GET", "/api/v2/users/x"),
    "cancel": ("POST", "/api/v1/jobs/x:cancel"),
}


class TestTrouble:
    @pytest.mark.parametrize("operation", CALLS)
    async def test_each_call_is_counted_and_goes_wrong_by_its_name(
        self, sift: EmbeddedSift, http: httpx.AsyncClient, operation: str
    ) -> None:
        method, path = CALLS[operation]
        sift.fail(operation, 8, "metadata size exceeds hard limit")
        refused = await http.request(method, path, json={"ruleIds": []} if method == "POST" else None)
        assert (refused.status_code, sift.count(operation)) == (429, 1)
        held = sift.hold(operation)
        call = asyncio.create_task(http.request(method, path))
        await asyncio.wait_for(held.entered.wait(), 5)
        held.release()
        await call
        sift.drop(operation, when="after")
        with pytest.raises(httpx.HTTPError):
            await http.request(method, path)
        assert sift.count(operation) == 3

    async def test_calls_are_counted_by_what_they_are_about(self, sift: EmbeddedSift, http: httpx.AsyncClient) -> None:
        report_id = next(iter(sift.reports))
        await http.get(f"/api/v1/reports/{report_id}")
        assert (sift.count("report", report_id), sift.count("report", "another")) == (1, 0)

    def test_a_name_that_is_none_is_a_mistake_of_the_test(self, sift: EmbeddedSift) -> None:
        with pytest.raises(ValueError, match="no operation"):
            sift.fail("imports")
