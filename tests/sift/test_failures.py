"""What failed of a run is found in few requests, whatever Sift says of the rest."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from bot.app.server import serving
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.sift.jobs import EVALUATION, EXPORT, FINISHED, IMPORT
from bot.sandbox.sift.records import SiftRun
from bot.sift.client import Sift
from bot.sift.failures import MAX_REQUESTS, Failures, RunSearch
from bot.sift.resources import Run


@dataclass
class Rig:
    """The embedded Sift, and a client of it."""

    server: EmbeddedSift
    sift: Sift

    async def failures(self, run: SiftRun | Run, noted: tuple[str, ...] = ()) -> Failures:
        """What is found of a run, with requests that are counted from here on."""
        self.server.calls.clear()
        search = RunSearch(self.sift)
        await search.begin()
        return await search.failures_of(Run(run_id=run.run_id, name=run.name), noted)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    server = EmbeddedSift()
    async with serving(server.app) as url:
        sift = Sift(url, SecretStr(server.api_key), timeout_seconds=20)
        yield Rig(server, sift)
        await sift.aclose()


async def test_imports_reports_and_exports_of_the_run_are_found_and_nothing_else(rig: Rig) -> None:
    run, other = rig.server.add_run("a-1"), rig.server.add_run("a-2")
    rig.server.outage(9, [other])
    mine = [rig.server.add(kind, run=run) for kind in (IMPORT, EVALUATION, IMPORT)]
    rig.server.add(IMPORT, FINISHED, run=run)
    found = await rig.failures(run)
    assert {job.job_id for job in found.jobs} == {job.job_id for job in mine}
    assert found.complete
    assert len(rig.server.calls) <= 5
    assert {about.subject.runs[0].name for about in found.about.values()} == {"a-1"}
    report = found.about[mine[1].job_id]
    assert "2 of 40 rules failed: chamber_pressure_max – channel not found" in report.why.headline


async def test_an_export_counts_for_each_run_it_names(rig: Rig) -> None:
    run = rig.server.add_run("a-1")
    details = {"dataExport": {"request": {"runsAndTimeRange": {"runIds": ["other", run.run_id]}}, "storageKey": ""}}
    job = rig.server.add(EXPORT, details=details)
    assert [one.job_id for one in (await rig.failures(run)).jobs] == [job.job_id]


async def test_an_import_without_a_run_counts_by_what_its_uploader_called_it(rig: Rig) -> None:
    planned = rig.server.run_named("hotfire-120")
    early = rig.server.add(IMPORT, run=planned)
    unborn = await rig.failures(Run(name="HOTFIRE-120"))
    assert early.job_id in {job.job_id for job in unborn.jobs}
    assert unborn.about[early.job_id].subject.uploader_run == "hotfire-120"
    assert (await rig.failures(Run(name="hotfire-12"))).jobs == ()


async def test_a_job_that_is_known_to_belong_to_the_run_is_found_while_its_import_cannot_be_read(rig: Rig) -> None:
    run = rig.server.add_run("a-1")
    job = rig.server.add(IMPORT, run=run)
    rig.server.fail("data_imports", 13, times=20)
    assert (await rig.failures(run)).jobs == ()
    rig.server.fail("data_imports", 13, times=20)
    found = await rig.failures(run, (job.job_id,))
    assert [one.job_id for one in found.jobs] == [job.job_id]
    assert not found.complete


async def test_an_older_failure_is_found_behind_a_thousand_newer_ones(rig: Rig) -> None:
    run = rig.server.add_run("a-1")
    old, noted = rig.server.add(EVALUATION, run=run), rig.server.add(IMPORT, run=run)
    rig.server.outage(1_100)
    found = await rig.failures(run, (noted.job_id,))
    assert {job.job_id for job in found.jobs} == {old.job_id, noted.job_id}
    assert not found.complete
    assert len(rig.server.calls) <= MAX_REQUESTS


@pytest.mark.parametrize("lists_summaries", [True, False])
async def test_whatever_goes_wrong_there_are_few_requests(rig: Rig, lists_summaries: bool) -> None:
    rig.server.lists_summaries = lists_summaries
    run = rig.server.add_run("a-1")
    rig.server.outage(1_100, [run])
    search = RunSearch(rig.sift)
    await search.begin()
    for name in ("nobody", "no-one", "a-1"):
        await search.runs_named(name)
    found = await search.failures_of(Run(run_id=run.run_id, name=run.name), ["x", "y"])
    assert found.jobs
    assert len(rig.server.calls) <= MAX_REQUESTS
