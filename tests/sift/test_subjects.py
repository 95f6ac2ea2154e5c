"""What jobs are about, looked up at the embedded Sift: in few requests, as far as it is known, never an error."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping

import pytest
from starlette.responses import Response

from bot.app.server import serving
from bot.sandbox.sift import cases
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.sift.jobs import EVALUATION, EXPORT, IMPORT, SandboxJob
from bot.sift.client import Sift
from bot.sift.job import Job
from bot.sift.names import REMEMBERED_SECONDS
from bot.sift.subject import About
from bot.sift.subjects import MAX_REPORTS_ALONE, Subjects
from tests.conftest import HandClock
from tests.sift.test_bounds import Timer
from tests.sift.test_client import KEY, Waits, client

LOOK_UPS = ("data_imports", "reports", "report", "runs", "assets", "rules")


class Rig:
    """An embedded Sift, and what looks things up there."""

    def __init__(self, embedded: EmbeddedSift, sift: Sift, clock: HandClock) -> None:
        self.embedded = embedded
        self.sift = sift
        self.timer = Timer()
        self.subjects = Subjects(sift.lookups, self.timer)
        self.clock = clock

    def jobs(self, jobs: Iterable[SandboxJob]) -> list[Job]:
        """Jobs as the bot has them."""
        return [Job.model_validate(job.as_sift(self.clock())) for job in jobs]

    async def about(self, *jobs: SandboxJob) -> list[About]:
        """What jobs are about, in their order."""
        found = await self.subjects.about(self.jobs(jobs))
        return [found[job.job_id] for job in jobs]

    @property
    def requests(self) -> Counter[str]:
        """How many look-ups of each kind arrived."""
        return Counter(call.operation for call in self.embedded.calls if call.operation in LOOK_UPS)


@contextlib.asynccontextmanager
async def rigged(clock: HandClock, *, lists_summaries: bool = True, timeout: float = 20) -> AsyncIterator[Rig]:
    embedded = EmbeddedSift(clock=clock, api_key=KEY.get_secret_value(), lists_summaries=lists_summaries)
    async with serving(embedded.app) as url, client(url, Waits(), timeout) as sift:
        yield Rig(embedded, sift, clock)


@pytest.fixture
async def rig(clock: HandClock) -> AsyncIterator[Rig]:
    async with rigged(clock) as rig:
        yield rig


async def test_an_import_is_called_by_its_run_its_asset_and_its_file(rig: Rig) -> None:
    (about,) = await rig.about(rig.embedded.fail_one(IMPORT))
    run, asset, file = about.subject.title_parts()
    assert (run, asset) == (cases.THIRD, "stand-2")
    assert file.startswith("telemetry_")
    assert about.why.headline.startswith("column 'tank_pressure_kpa' is not a number in row ")
    assert about.why.cause == "column ‹name› is not a number in row ‹n›"
    assert about.why.warnings == ("2 columns without data were left out: lox_temp_3, lox_temp_4",)
    known = rig.embedded.run_named(cases.THIRD)
    assert about.subject.runs[0].id == known.run_id
    assert about.subject.window is not None
    assert abs((about.subject.window[0] - known.start).total_seconds()) < 1


async def test_a_run_that_does_not_exist_yet_is_called_as_its_uploader_did(rig: Rig) -> None:
    (about,) = await rig.about(rig.embedded.fail_one(IMPORT, rig.embedded.run_named(cases.PLANNED)))
    assert about.subject.title_parts()[:2] == (cases.PLANNED, "stand-1")
    assert about.subject.runs == ()


@pytest.mark.parametrize("listed", [True, False], ids=["listed with rules", "listed without"])
async def test_a_rule_evaluation_says_which_rules_failed_and_why(clock: HandClock, listed: bool) -> None:
    async with rigged(clock, lists_summaries=listed) as rig:
        jobs = [rig.embedded.fail_one(EVALUATION) for _ in cases.EVALUATIONS]
        abouts = await rig.about(*jobs)
        assert rig.requests["report"] == (0 if listed else len(jobs))
    about = next(about for about in abouts if about.why.rules_total == len(cases.LIMITS))
    assert about.subject.title_parts() == (cases.THIRD, "stand-2", "Hot-fire limits")
    assert about.why.headline == (
        "2 of 40 rules failed: chamber_pressure_max – channel not found: engine.chamber_pressure_1 (exit 1)"
    )
    assert [rule.name for rule in about.why.rules_failed] == ["chamber_pressure_max", "injector_dp_min"]
    assert all("KeyError: " in rule.stderr for rule in about.why.rules_failed)
    assert about.why.rules_failed[0].explore_link.startswith("https://sift.sandbox.example/explore?")
    assert about.why.cause == "channel not found: ‹name›"
    assert about.subject.window is not None


async def test_an_export_is_told_by_its_request_and_the_names_in_it(rig: Rig) -> None:
    run = rig.embedded.run_named(cases.THIRD)
    by_run, by_asset, by_time = (rig.embedded.add(EXPORT, run=run) for _ in range(3))
    jobs = sorted((by_run, by_asset, by_time), key=lambda job: str(job.details))
    abouts = await rig.about(*jobs)
    assert {about.subject.title_parts() for about in abouts} == {(cases.THIRD, "stand-2"), ("stand-2",), ()}
    assert all(about.subject.window and about.subject.output_format and about.why.message for about in abouts)
    assert set(rig.requests) == {"runs", "assets"}


@pytest.mark.parametrize("listed", [True, False], ids=["listed with rules", "listed without"])
async def test_five_thousand_failures_of_forty_runs_are_forty_requests(clock: HandClock, listed: bool) -> None:
    async with rigged(clock, lists_summaries=listed) as rig:
        runs = [rig.embedded.add_run(f"hotfire-{number}", "stand-2") for number in range(200, 240)]
        jobs = rig.embedded.outage(5_000, runs)
        found = await rig.subjects.about(rig.jobs(jobs), within=300)
        assert rig.requests.total() <= 40
        assert all(found[job.job_id].subject.title_parts() for job in jobs if job.job_type != EXPORT)
        assert all(found[job.job_id].subject.window for job in jobs)
        evaluated = [found[job.job_id].why for job in jobs if job.job_type == EVALUATION]
        explained = evaluated if listed else evaluated[:MAX_REPORTS_ALONE]
        assert all(why.rules_failed and why.rules_failed[0].name for why in explained)
        assert all(found[job.job_id].why.message for job in jobs if job.job_type != EVALUATION)


async def test_names_are_asked_for_once_a_day(rig: Rig) -> None:
    run = rig.embedded.run_named(cases.THIRD)
    for expected in (1, 1):
        await rig.about(rig.embedded.fail_one(IMPORT, run))
        assert (rig.requests["runs"], rig.requests["assets"]) == (expected, expected)
    rig.timer.seconds += REMEMBERED_SECONDS + 1
    await rig.about(rig.embedded.fail_one(IMPORT, run))
    assert (rig.requests["runs"], rig.requests["assets"]) == (2, 2)


async def test_what_sift_does_not_list_is_not_asked_for_again(rig: Rig) -> None:
    run = rig.embedded.run_named(cases.THIRD)
    del rig.embedded.runs[run.run_id]
    for _ in range(2):
        (about,) = await rig.about(rig.embedded.fail_one(IMPORT, run))
        assert about.subject.title_parts()[0] == cases.THIRD  # as the uploader called it
    assert rig.requests["runs"] == 1


@pytest.mark.parametrize("operation", LOOK_UPS)
@pytest.mark.parametrize(
    "answer", [None, Response("<h1>no</h1>"), Response('{"reports": 7, "runs": [[]], "rules": {}}')]
)
async def test_whatever_sift_answers_changes_nothing_but_the_words(
    rig: Rig, operation: str, answer: Response | None
) -> None:
    if answer is None:
        rig.embedded.fail(operation, times=99)
    else:
        rig.embedded.answer(operation, answer, times=99)
    jobs = rig.embedded.outage(9)
    abouts = await rig.about(*jobs)
    assert sum(bool(about.why.message or about.subject.title_parts()) for about in abouts) >= 3


async def test_who_does_not_wait_has_what_came_until_then(rig: Rig) -> None:
    jobs = [rig.embedded.fail_one(IMPORT), rig.embedded.fail_one(EVALUATION), rig.embedded.fail_one(EXPORT)]
    held = rig.embedded.hold("reports")
    known: dict[str, About] = {}
    task = asyncio.create_task(rig.subjects.about(rig.jobs(jobs), known.update))
    await asyncio.wait([task], timeout=0.5)
    assert not task.done()
    assert [bool(known[job.job_id].why.message) for job in jobs] == [True, False, True]
    assert known[jobs[0].job_id].subject.title_parts()[0]
    held.release()
    assert (await task)[jobs[1].job_id].why.rules_failed
    assert known[jobs[1].job_id].why.rules_failed


async def test_a_look_up_ends_with_what_it_has(rig: Rig) -> None:
    job = rig.embedded.fail_one(IMPORT)
    held = rig.embedded.hold("runs")
    found = await rig.subjects.about(rig.jobs([job]), within=0.3)
    assert found[job.job_id].why.message
    held.release()


async def test_a_few_look_ups_at_a_time(clock: HandClock) -> None:
    async with rigged(clock, lists_summaries=False) as rig:
        held = [rig.embedded.hold("report") for _ in range(10)]
        jobs = [rig.embedded.fail_one(EVALUATION) for _ in range(10)]
        task = asyncio.create_task(rig.subjects.about(rig.jobs(jobs)))
        await asyncio.wait([task], timeout=0.5)
        assert sum(one.entered.is_set() for one in held) == 4
        for one in held:
            one.release()
        assert len(await task) == 10


async def test_where_sift_asks_to_wait_that_kind_is_left_alone(rig: Rig) -> None:
    rig.embedded.fail("data_imports", 8, "retry after 10 min")
    for _ in range(3):
        (about,) = await rig.about(rig.embedded.fail_one(IMPORT))
        assert about == About()
    assert rig.requests["data_imports"] == 1
    (about,) = await rig.about(rig.embedded.fail_one(EVALUATION))
    assert about.why.rules_failed


async def test_a_caller_that_fails_spoils_nothing_else(rig: Rig) -> None:
    jobs = [rig.embedded.fail_one(IMPORT), rig.embedded.fail_one(EVALUATION)]

    def found(more: Mapping[str, About]) -> None:
        if more.get(jobs[0].job_id, About()).why.message:
            raise RuntimeError("no place")

    known = await rig.subjects.about(rig.jobs(jobs), found)
    assert known[jobs[1].job_id].why.rules_failed


async def test_who_created_a_job_is_asked_for_once(rig: Rig) -> None:
    (user_id,) = {job.created_by_user_id for job in rig.jobs([rig.embedded.fail_one(IMPORT)])}
    names = [await rig.subjects.user_name(user_id) for _ in range(2)]
    assert names == ["operator@sandbox.example"] * 2
    assert rig.embedded.count("user") == 1
    rig.embedded.fail("user")
    assert [await rig.subjects.user_name(one) for one in ("nobody", "nobody", "")] == ["", "", ""]
