"""Metrics, alert rules, dashboard and runbook name the same things, and the rules fire when they should."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bot.base.metrics import Metrics

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
RUNBOOK = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

NAMED = re.compile(r"\bsift_retry_[a-z_]+")
PROMETHEUS_S_OWN = re.compile(r"\b(process_[a-z_]+)")


def exposed() -> set[str]:
    """The names that samples of the bot's metrics have."""
    return {
        f"{family.name}{suffix}"
        for family in Metrics().registry.collect()
        for suffix in ("", "_total", "_bucket", "_count", "_sum")
    }


def rules() -> list[dict[str, object]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def test_rules_and_dashboard_ask_for_metrics_that_there_are() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [str(rule["expr"]) for rule in rules()]
    names = {name for expression in asked for name in NAMED.findall(expression)}
    assert len(names) > 10
    assert names <= exposed()
    assert set(PROMETHEUS_S_OWN.findall(" ".join(asked))) <= exposed() | {"process_cpu_seconds_total"}


def test_the_documents_name_every_metric() -> None:
    ours = {f.name for f in Metrics().registry.collect() if f.name.startswith("sift_retry_")}
    missing = {name for name in ours if name not in RUNBOOK}
    assert not missing


def test_every_rule_has_its_section_in_the_runbook() -> None:
    headings = re.findall(r"^### (SiftRetry\w+)$", RUNBOOK, re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]
    for rule in rules():
        annotations = rule["annotations"]
        assert isinstance(annotations, dict)
        assert annotations["runbook"] == f"docs/operating.md#{str(rule['alert']).lower()}"


def test_the_rules_fire_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here (Debian's package prometheus)")
    tests = RULES.with_name("alerts_test.yml")
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(tests)]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_is_tried() -> None:
    tried = yaml.safe_load(RULES.with_name("alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {case["alertname"] for test in tried for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules()}
