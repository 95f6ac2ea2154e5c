"""The contract of what jobs are about: our models hold what Sift's own messages (PyPI sift-stack-py) say."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, Parse
from google.protobuf.message import Message
from sift.assets.v1 import assets_pb2
from sift.common.type.v1 import user_pb2
from sift.data_imports.v2 import data_imports_pb2
from sift.reports.v1 import reports_pb2
from sift.rules.v1 import rules_pb2
from sift.runs.v2 import runs_pb2

from bot.sift.data_import import CONFIGS, DataImport
from bot.sift.report import BAD, Report
from bot.sift.resources import Asset, Rule, Run, User
from bot.sift.value import MAX_NAME, MAX_TEXT, Value

AT = datetime(2026, 11, 20, 8, 33, 0, 123456, UTC)
STAMP = "2026-11-20T08:33:00.123456789Z"

both = pytest.mark.parametrize("everything", [True, False], ids=["with defaults", "without"])


def printed(message: Message, given: dict[str, Any], everything: bool) -> dict[str, Any]:
    """What Sift's message makes of JSON, as its gateway prints it; a field that it does not know is an error."""
    Parse(json.dumps(given), message)
    return MessageToDict(message, always_print_fields_with_no_presence=everything)


@both
@pytest.mark.parametrize(
    ("model", "message", "given"),
    [
        (Run(), runs_pb2.Run(), {"runId": "r", "name": "n", "startTime": STAMP, "stopTime": STAMP, "assetIds": ["a"]}),
        (Asset(), assets_pb2.Asset(), {"assetId": "a", "name": "n"}),
        (Rule(), rules_pb2.Rule(), {"ruleId": "r", "name": "n"}),
        (User(), user_pb2.User(), {"userId": "u", "userName": "n"}),
        (
            DataImport(),
            data_imports_pb2.DataImport(),
            {
                "dataImportId": "d",
                "sourceUrl": "s3://a/b.csv",
                "status": "DATA_IMPORT_STATUS_FAILED",
                "errorMessage": "no",
                "warningMessages": ["w", "x"],
                "runId": "r",
                "assetId": "a",
                "reportId": "p",
                "createdDate": STAMP,
                "dataStartTime": STAMP,
                "dataStopTime": STAMP,
            },
        ),
        (
            Report(),
            reports_pb2.Report(),
            {
                "reportId": "p",
                "name": "n",
                "runId": "r",
                "jobId": "j",
                "isAutomated": True,
                "rerunFromReportId": "q",
                "createdDate": STAMP,
            },
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Value) else "",
)
def test_what_sift_says_is_what_we_read(
    model: Value, message: Message, given: dict[str, Any], everything: bool
) -> None:
    ours = type(model).model_validate(printed(message, given, everything))
    kept = ours.model_dump(by_alias=True)
    for name, value in given.items():
        assert kept[name] == (AT if value == STAMP else tuple(value) if isinstance(value, list) else value)
    assert type(model).model_validate_json(ours.model_dump_json(by_alias=True)) == ours
    assert type(model).model_validate(printed(type(message)(), {}, everything)) in (
        model,
        model.model_copy(update={"status": "DATA_IMPORT_STATUS_UNSPECIFIED"}),
        model.model_copy(update={"rules_total": 0}),
    )


@both
@pytest.mark.parametrize("kind", CONFIGS)
def test_the_uploader_s_names_are_read_from_whichever_configuration_is_set(kind: str, everything: bool) -> None:
    named = {"runName": "hotfire-120", "assetName": "stand-1"}
    message = data_imports_pb2.DataImport()
    field = message.DESCRIPTOR.fields_by_name[f"{kind}_config"]
    assert field.message_type is not None
    given = {name: value for name, value in named.items() if name in {f.json_name for f in field.message_type.fields}}
    ours = DataImport.model_validate(printed(message, {"dataImportId": "d", field.json_name: given}, everything))
    assert (ours.uploader_run, ours.uploader_asset) == (given.get("runName", ""), given["assetName"])
    assert DataImport.model_validate(ours.model_dump(by_alias=True)) == ours


def test_every_configuration_of_sift_s_is_looked_at() -> None:
    names = {field.name for field in data_imports_pb2.DataImport.DESCRIPTOR.fields}
    assert {f"{kind}_config" for kind in CONFIGS} == {name for name in names if name.endswith("_config")}


PROBLEM = {"errorMessage": "channel not found", "exitCode": 1, "stdout": "o", "stderr": "e"}


def summaries() -> list[dict[str, Any]]:
    """One of each status, in the wrong order."""
    named = reports_pb2.ReportRuleStatus.items()
    return [
        {
            "ruleId": f"rule-{name}",
            "assetId": "a",
            "status": name,
            "statusDetails": {name.removeprefix("REPORT_RULE_STATUS_").lower(): PROBLEM if name in BAD else {}},
            "displayOrder": 100 - number,
            "numOpen": 1,
            "numFailed": 2,
            "numPassed": 3,
            "exploreFullLink": "https://x.example/explore",
        }
        for name, number in named
        if not name.endswith("UNSPECIFIED")
    ]


@both
def test_the_rules_that_failed_are_kept_in_order_and_the_others_counted(everything: bool) -> None:
    ours = Report.model_validate(printed(reports_pb2.Report(), {"reportId": "p", "summaries": summaries()}, everything))
    assert ours.rules_total == len(summaries()) == 6
    assert [summary.status for summary in ours.rules_failed] == [
        "REPORT_RULE_STATUS_ERROR",
        "REPORT_RULE_STATUS_FAILED",
    ]
    for summary in ours.rules_failed:
        assert summary.problem.model_dump(by_alias=True) == PROBLEM
        assert (summary.num_open, summary.num_failed, summary.num_passed) == (1, 2, 3)
        assert (summary.asset_id, summary.explore_full_link) == ("a", "https://x.example/explore")
    assert Report.model_validate_json(ours.model_dump_json(by_alias=True)) == ours
    assert set(BAD) < {name for name, _ in reports_pb2.ReportRuleStatus.items()}


ODD: list[Any] = [
    None,
    7,
    -1,
    1.5,
    True,
    "x",
    [],
    [7],
    [None],
    {},
    {"a": 1},
    "x" * 20_000,
    ["x" * 20_000] * 3,
    "\x00\ud800",
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
@pytest.mark.parametrize("model", [Run, Asset, Rule, User, DataImport, Report])
def test_whatever_shape_a_field_has_the_others_are_read(model: type[Value], odd: Any) -> None:
    extra = {f"{kind}Config": odd for kind in CONFIGS} | {"csvConfig": {"runName": odd, "assetName": odd}}
    given = {field.alias: odd for field in model.model_fields.values()} | extra | {"summaries": [odd, {"status": odd}]}
    ours = model.model_validate(given)
    for name, value in ours:
        if isinstance(value, str):
            assert len(value) <= (MAX_NAME if "name" in name or "uploader" in name else MAX_TEXT)
    last = {"summaries": [{"status": "REPORT_RULE_STATUS_FAILED", "statusDetails": odd, "displayOrder": odd}, odd]}
    assert len(Report.model_validate(last).rules_failed) == 1
