"""Sift's jobs as frozen values: the whole answer, tolerant of whatever a newer Sift adds.

Source: the reference page of `POST /api/v1/jobs/{jobId}:retry` and Sift's protobuf messages (`sift.jobs.v1`, PyPI
sift-stack-py), printed as protobuf's JSON. Status, type and format are open enums: text, shown as it came.
"""

from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator

from bot.sift.ids import job_kind
from bot.sift.value import Lenient, Moment, Text, Texts, Uint64, Value, identifier, some

FAILED = "JOB_STATUS_FAILED"
ENDED = frozenset({"JOB_STATUS_FINISHED", "JOB_STATUS_FAILED", "JOB_STATUS_CANCELLED"})
CANCELLING = "JOB_STATUS_CANCEL_REQUESTED"
RETRYABLE = frozenset({"JOB_STATUS_FAILED", "JOB_STATUS_CANCELLED"})

KEPT = 512
"""So much that was read from rows last is kept as it is, since none of it can be changed."""

SHORT = 4_000
"""Characters of a job that is kept so: an export may name thousands of channels."""


class DataImportStatus(Value):
    """How far an import is, in points."""

    points_processed: Uint64 = None
    points_total: Uint64 = None


class DataExportStatus(Value):
    """Why an export failed."""

    error_message: Text = ""


class RuleEvaluationStatus(Value):
    """Sift says nothing more of a rule evaluation."""


class JobStatusDetails(Value):
    """At most one of these is set."""

    rule_evaluation: Annotated[RuleEvaluationStatus | None, Lenient] = None
    data_import: Annotated[DataImportStatus | None, Lenient] = None
    data_export: Annotated[DataExportStatus | None, Lenient] = None


class TimeRange(Value):
    """A stretch of time."""

    start_time: Moment = None
    stop_time: Moment = None


class RunsAndTimeRange(TimeRange):
    """Some runs, within a stretch of time."""

    run_ids: Texts = ()


class AssetsAndTimeRange(TimeRange):
    """Some assets, within a stretch of time."""

    asset_ids: Texts = ()


class ChannelReference(Value):
    """What a calculated channel's expression calls a channel."""

    channel_reference: Text = ""
    channel_identifier: Text = ""


class CalculatedChannelConfig(Value):
    """A channel that is calculated for the export."""

    name: Text = ""
    expression: Text = ""
    channel_references: tuple[ChannelReference, ...] = ()
    units: Text = ""


class ExportOptions(Value):
    """How the exported files are laid out."""

    use_legacy_format: bool = False
    simplify_channel_names: bool = False
    combine_runs: bool = False
    split_export_by_asset: bool = False
    split_export_by_run: bool = False


class ExportRequest(Value):
    """What is exported: one of three selections, the channels, the format."""

    time_range: Annotated[TimeRange | None, Lenient] = None
    runs_and_time_range: Annotated[RunsAndTimeRange | None, Lenient] = None
    assets_and_time_range: Annotated[AssetsAndTimeRange | None, Lenient] = None
    channel_ids: Texts = ()
    calculated_channel_configs: Annotated[tuple[CalculatedChannelConfig, ...], BeforeValidator(some)] = ()
    output_format: Text = ""
    export_options: Annotated[ExportOptions | None, Lenient] = None


class RuleEvaluationDetails(Value):
    """Which report a rule evaluation fills."""

    report_id: Text = ""


class DataImportDetails(Value):
    """Which data import the job carries out."""

    data_import_id: Text = ""


class DataExportDetails(Value):
    """What is exported, and where the result is stored."""

    request: Annotated[ExportRequest | None, Lenient] = None
    storage_key: Text = ""


class JobDetails(Value):
    """At most one of these is set."""

    rule_evaluation: Annotated[RuleEvaluationDetails | None, Lenient] = None
    data_import: Annotated[DataImportDetails | None, Lenient] = None
    data_export: Annotated[DataExportDetails | None, Lenient] = None


class Job(Value):
    """One of Sift's jobs."""

    job_id: Annotated[str, BeforeValidator(identifier)]
    organization_id: Text = ""
    created_by_user_id: Text = ""
    modified_by_user_id: Text = ""
    created_date: Moment = None
    modified_date: Moment = None
    started_date: Moment = None
    completed_date: Moment = None
    job_type: Text = ""
    job_status: Text = ""
    job_status_details: Annotated[JobStatusDetails | None, Lenient] = None
    job_details: Annotated[JobDetails | None, Lenient] = None

    @property
    def kind(self) -> str:
        """Its type as settings and grants name it: `data_import`."""
        return job_kind(self.job_type)

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.job_status in ENDED

    @property
    def being_cancelled(self) -> bool:
        """Whether it was asked to stop; it may still finish."""
        return self.job_status == CANCELLING

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs that an export names."""
        request = self._export_request
        chosen = request.runs_and_time_range if request else None
        return chosen.run_ids if chosen else ()

    @property
    def asset_ids(self) -> tuple[str, ...]:
        """The assets that an export names."""
        request = self._export_request
        chosen = request.assets_and_time_range if request else None
        return chosen.asset_ids if chosen else ()

    @property
    def _export_request(self) -> ExportRequest | None:
        export = self.job_details.data_export if self.job_details else None
        return export.request if export else None

    @property
    def failure(self) -> str:
        """What tells one failure of the job from the next: when it was completed, or else modified."""
        moment = self.completed_date or self.modified_date
        return moment.isoformat() if moment else ""

    @property
    def retryable(self) -> bool:
        """Whether Sift would take a retry: it failed or was cancelled."""
        return self.job_status in RETRYABLE

    def to_json(self) -> str:
        """The job as it is kept in a row, under Sift's own names."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @staticmethod
    def from_json(kept: str) -> "Job":
        """Reads what was kept; while a retry goes on, or a storm is shown, the same is read a dozen times.

        Raises:
            ValueError: it is no job.
        """
        return _remembered(kept) if len(kept) <= SHORT else Job.model_validate_json(kept)


@lru_cache(KEPT)
def _remembered(kept: str) -> Job:
    return Job.model_validate_json(kept)
