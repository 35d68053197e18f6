"""What deploy/ has for those who operate runs: alerts that fire and stay silent, and a Prometheus that scrapes a run."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from rad_engineer.core.measures import METRICS
from rad_engineer.core.metering import GATEWAY_REASONS
from tests.conftest import Project, agent, prd, story
from tests.required import needs
from tests.serving import served

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rad-engineer.rules.yml"
TESTS = DEPLOY / "prometheus" / "rad-engineer.tests.yml"
DASHBOARD = DEPLOY / "grafana" / "rad-engineer.json"
CAMPAIGN = pytest.mark.skipif(not os.environ.get("RAD_SIGNALS"), reason="takes its time: RAD_SIGNALS=1")
_SERIES = re.compile(r"(?P<name>rad_\w+)(?:\{(?P<labels>[^}]*)\})?")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


def alerts():
    return yaml.safe_load(RULES.read_text())["groups"][0]["rules"]


def expressions():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [rule["expr"] for rule in alerts()] + [
        target["expr"] for panel in panels for target in panel["targets"]
    ]


def outcome(folder):
    return subprocess.run(
        ["promtool", "test", "rules", TESTS.name], cwd=folder, capture_output=True, text=True, check=False
    )


def test_every_metric_that_is_named_exists_with_its_labels():
    seen = 0
    for expression in expressions():
        by = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")} - {
            "le"
        }
        for found in _SERIES.finditer(expression):
            name = found["name"]
            metric = METRICS.get(name) or METRICS[_SUFFIX.sub("", name)]
            assert (metric.kind == "histogram") == (metric.name != name), expression
            named = set(re.findall(r"(\w+)=", found["labels"] or ""))
            assert named | by <= set(metric.labels), expression
            seen += 1
    assert seen > 40
    refused = re.search(r'reason=~"([^"]*)"', RULES.read_text())
    assert refused is not None
    assert set(refused[1].split("|")) <= GATEWAY_REASONS


def test_each_alert_fires_and_stays_silent():
    needs("promtool", shutil.which("promtool"))
    done = outcome(TESTS.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    named = [test["name"] for test in yaml.safe_load(TESTS.read_text())["tests"]]
    assert named == [f"{rule['alert']} {what}" for rule in alerts() for what in ("fires", "is silent")]


@CAMPAIGN
@pytest.mark.parametrize(("instead", "word"), [("vector(0) > 1", "fires"), ("vector(1)", "is silent")])
def test_rules_that_never_or_always_fire_are_found(tmp_path, instead, word):
    needs("promtool", shutil.which("promtool"))
    rules = yaml.safe_load(RULES.read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = instead
    (tmp_path / RULES.name).write_text(yaml.safe_dump(rules))
    shutil.copy(TESTS, tmp_path)
    done = outcome(tmp_path)
    assert done.returncode == 1
    failed = [
        rule["alert"] for rule in alerts() if f"name: {rule['alert']} {word}" in done.stdout + done.stderr
    ]
    assert failed == [rule["alert"] for rule in alerts()]


@contextmanager
def prometheus(folder, url, token):
    """A real one with the configuration that is shipped, in a hurry; it can be asked."""
    for file in (DEPLOY / "prometheus").iterdir():
        shutil.copy(file, folder)
    text = (folder / "prometheus.yml").read_text()
    text = text.replace("127.0.0.1:9090", urllib.parse.urlsplit(url).netloc).replace("15s", "100ms")
    (folder / "prometheus.yml").write_text(text)
    (folder / "token").write_text(token)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = [
        "--config.file=prometheus.yml",
        f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as written:
        process = subprocess.Popen(["prometheus", *flags], cwd=folder, stdout=written, stderr=written)
    try:
        yield lambda query: asked(address, query)
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()


def asked(address, query):
    """The value of a query; None while there is none."""
    form = urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(f"http://{address}/api/v1/query?{form}", timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
    except (urllib.error.URLError, OSError):
        return None
    return float(found[0]["value"][1]) if found else None


def until(ask, query, value):
    deadline = time.monotonic() + 60
    while (found := ask(query)) != value:
        assert time.monotonic() < deadline, f"{query}: {found}"
        time.sleep(0.05)


@CAMPAIGN
def test_a_real_prometheus_scrapes_a_run_that_goes_on(project: Project, tmp_path: Path):
    needs(
        "promtool", shutil.which("prometheus") and shutil.which("promtool"), "a Prometheus with its promtool"
    )
    project.init(
        {"prd.json": prd(story("A")), "rad-engineer.toml": '[gates]\ncheck = "true"\n', "README.md": "demo\n"}
    )
    go = tmp_path / "go"
    work = f'while [ ! -e "{go}" ]; do sleep 0.05; done; mkdir -p out; echo 1 > out/one\n'
    run = project.start("run", "prd.json", *agent(project, work), "--yes", "--plain")
    token = tmp_path / "server-token"
    token.write_text("t" * 24)
    token.chmod(0o600)
    folder = tmp_path / "prometheus"
    folder.mkdir()
    try:
        with (
            served(project.folder, tmp_path, "--token-file", token, token="t" * 24) as server,
            prometheus(folder, server.url, "t" * 24) as ask,
        ):
            assert server.get("/metrics", authorization="Bearer wrong").status == 401
            until(ask, 'up{job="rad-engineer"}', 1)
            until(ask, "rad_active_agents", 1)
            until(ask, 'rad_stories_total{outcome="landed"}', 0)
            go.touch()
            until(ask, 'rad_stories_total{outcome="landed"}', 1)
            until(ask, "rad_active_agents", 0)
            until(ask, 'rad_landings_total{verdict="verified"}', 1)
    finally:
        go.touch()
        run.communicate(timeout=60)
    assert run.returncode == 0
