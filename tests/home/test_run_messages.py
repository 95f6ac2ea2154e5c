"""What people read of a run, word for word."""

from dataclasses import replace
from datetime import timedelta

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.base.requester import Source
from bot.home import run_messages as messages
from bot.home.offer import Choice, Offer, Offered
from bot.home.run_messages import Failed
from bot.retries.record import Record
from bot.sift.job import Job
from bot.sift.resources import Run
from bot.sift.subject import About, FailedRule, Named, Subject, Why
from tests.conftest import NOW
from tests.reading import PLACE, Shown, Words, a_job, as_written, read

RUN_ID = "8d5f0c1a-1111-4222-8333-944455566677"
OFFER_ID = "4f7k2m9x0q"


def job_id(number: int) -> str:
    return f"{number:08}-0000-4000-8000-000000000000"


def _failures(t: Words, count: int) -> tuple[list[Job], dict[str, About]]:
    """A report whose rules fail, an export, and imports that fail for one cause in the end."""
    run = Subject(runs=(Named(RUN_ID, t("hotfire-118")),))
    rules = (FailedRule(t("chamber_pressure_max"), message=t("channel not found: engine.pc"), exit_code=1),)
    why = t("column 'tank_pressure_kpa' is not a number in row {row}")
    told = {
        0: About(
            replace(run, report=Named("r", t("Hot-fire limits"))),
            Why(rules[0].message, rules_total=40, rules_failed=rules, more_failed=1),
        ),
        1: About(run, Why(t("no data for channel <tank & valve>"))),
    }
    kinds = {0: "RULE_EVALUATION", 1: "DATA_EXPORT"}
    jobs = [a_job(kind=kinds.get(number, "DATA_IMPORT"), job_id=job_id(number)) for number in range(count)]
    about = {
        job_id(number): told.get(number)
        or About(
            replace(run, file=t(f"telemetry_{412 + number:04}.csv")), Why(why.replace("{row}", f"{4512 + number:,}"))
        )
        for number in range(count)
    }
    return jobs, about


def _failed(t: Words, count: int = 4, **more: object) -> Failed:
    jobs, about = _failures(t, count)
    seen = Failed(Choice(RUN_ID, t("hotfire-118")), jobs, about, reason=t("the sensor was fixed"), offer_id=OFFER_ID)
    return replace(seen, **more)  # type: ignore[arg-type]  # whichever field a test is about


def _many_causes(t: Words) -> Failed:
    """Each job with a cause of its own, as far as anybody says."""
    words = ("row", "column", "file", "header", "unit", "time", "channel", "value", "name", "asset")
    about = {job_id(number): About(why=Why(f"{word} {t('is bad')}")) for number, word in enumerate(words)}
    jobs = [a_job(job_id=one) for one in about]
    return replace(_failed(t, 0), jobs=jobs, about=about)


def _runs(t: Words, count: int) -> list[Run]:
    return [
        Run(run_id=f"{number}-{RUN_ID}", name=t(f"hotfire-11{number}"), start_time=NOW - timedelta(days=number))
        for number in range(count)
    ]


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Everything that is shown of runs, by name; other people's words as `t` puts them."""
    one = _failed(t, 1)
    jobs, about = _failures(t, 120)
    offered = tuple(Offered(job.job_id, job.failure, messages.label_of(job, about)) for job in jobs)
    offer = Offer((Choice(RUN_ID, t("hotfire-118")),), offered, t("the sensor was fixed"))
    unborn = Choice("", t("hotfire-120"))
    helped = Record(41, 43, timedelta(minutes=6))
    records = {about[jobs[0].job_id].why.cause: Record(0, 12), about[jobs[2].job_id].why.cause: helped}
    origin = {"source": Source.MODAL, "channel_id": "COPS"}
    return {
        "run, one failed": messages.failed(replace(one, reason=None), PLACE),
        "run, several failed": messages.failed(_failed(t, 4, under_way=1), PLACE),
        "run, many failed": messages.failed(_failed(t, 40, under_way=2, complete=False), PLACE),
        "run, retries helped": messages.failed(_failed(t, 4, records=records), PLACE),
        "run, one failed, retries never helped": messages.failed(replace(one, records=records), PLACE),
        "run, many causes": messages.failed(_many_causes(t), PLACE),
        "run, nobody says why": messages.failed(_failed(t, 2, about={}), PLACE),
        "run, not in Sift yet": messages.failed(_failed(t, 3, run=unborn), PLACE),
        "run, no way into Sift": messages.failed(_failed(t, 3), replace(PLACE, sift_app_url=None)),
        "run, all under way": messages.failed(_failed(t, 0, under_way=7, offer_id=None), PLACE),
        "run, nothing failed": messages.failed(_failed(t, 0, offer_id=None), PLACE),
        "run, listed": messages.failed(_failed(t, 4, offer_id=None), PLACE),
        "run, selected": messages.selection(replace(offer, jobs=offered[:4]), origin, 2),
        "run, selected of many": messages.selection(offer, origin, 0),
        "run, recorded": messages.recorded(offer.runs[0], 7),
        "run, choose": messages.choose(t("hotfire-11"), [*_runs(t, 3), Run(name=t("hotfire-11x"))], OFFER_ID),
        "run, choose of many": messages.choose(t("hotfire-11"), _runs(t, 13), OFFER_ID),
        "run, not found": messages.not_found(t("hotfire-1189"), [], None),
        "run, not found, nearest": messages.not_found(t("hotfire-1189"), _runs(t, 2), OFFER_ID),
        "run, too old": messages.too_old(),
    }


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot


def test_what_was_shown_is_kept_as_it_was() -> None:
    offer = Offer((Choice(RUN_ID, "hotfire-118"), Choice("", "ü")), (Offered("j", "", "label"),), None, True)
    assert Offer.from_json(offer.to_json()) == offer
