"""A run as one tree of spans over all its processes, in a real collector; one that takes none changes nothing."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.collecting import collector, refused, silent
from tests.conftest import Project, agent, prd, story
from tests.e2e.test_agent_run import playing, script
from tests.required import needs

ROTEL = Path(__file__).parents[2] / ".venv-tools/lib/python3.11/site-packages/rotel/rotel-agent"
CAMPAIGN = os.environ.get("RAD_SIGNALS")
ABOVE = "00-" + "d" * 32 + "-" + "e" * 16 + "-01"
NO_PROXY = {"NO_PROXY": "127.0.0.1"}
FILES = {"rad-engineer.toml": '[gates]\ncheck = "true"\n', "README.md": "demo\n"}
WRITE = 'mkdir -p out; echo "$TRACEPARENT" > "out/$RAD_STORY_ID.txt"\n'


PATIENT = """
import sys
from rad_engineer import __main__, exporting
exporting.FAREWELL_SECONDS = 60
sys.exit(__main__.main())
"""


class Patient(Project):
    """Its runs wait at their end until the collector has everything: a busy machine is no reason to lose a span."""

    def __init__(self, project):
        self.folder, self.env = project.folder, project.env

    def command(self, *arguments):
        return [sys.executable, "-c", PATIENT, *arguments]


def traced(project, command, collected, url=""):
    where = {"TRACEPARENT": ABOVE, "OTEL_EXPORTER_OTLP_ENDPOINT": url or collected.url}
    return Patient(project).rad(*command, env={**NO_PROXY, **where})


def check_tree(collected):
    """Everything hangs below who has started the run; returns the spans by name."""
    by = {}
    for span in collected.spans:
        by.setdefault(span.name, []).append(span)
    ids = {span.id: span for span in collected.spans}
    assert len(ids) == len(collected.spans)
    assert {span.trace for span in collected.spans} == {"d" * 32}
    (run,) = by["run"]
    assert run.parent == "e" * 16
    above = {"story": "run", "agent": "story", "verify": "story", "land": "story", "gate": "verify",
             "agent turn": "agent", "tool": "agent turn", "model call": "agent turn"}  # fmt: skip
    for name, parent in above.items():
        assert by[name], name
        assert {ids[span.parent].name for span in by[name]} == {parent}, name
    assert len({span.process for span in collected.spans}) >= 3
    assert {span.about["rad.process"] for span in collected.spans} == {"coordinator", "gateway"}
    return by


def test_one_tree_over_all_processes(project: Project):
    with collector() as collected, playing(project, script("A"), "A") as (_seen, command):
        ran = traced(project, command, collected)
        assert ran.code == 0, ran.err
        collected.wait_for(lambda: collected.named("run"))
    by = check_tree(collected)
    assert {span.attributes["rad.turn"] for span in by["agent turn"]} == {1, 2, 3}
    assert [span.attributes["rad.tool"] for span in by["tool"]][:1] == ["bash"]
    (told,) = {span.about["process.pid"] for span in by["model call"]}
    assert told not in {span.about["process.pid"] for span in by["run"]}
    assert all(span.attributes["rad.tokens"] > 0 for span in by["model call"])
    assert {span.attributes["http.response.status_code"] for span in by["model call"]} == {200}
    everything = "".join(str(span.attributes) for span in collected.spans)
    assert "str_replace" not in everything.replace(
        "str_replace_based_edit_tool", ""
    )  # names, and never what was said


def test_agents_are_told_where_they_stand(project: Project):
    project.init({"prd.json": prd(story("A")), **FILES})
    with collector() as collected:
        ran = traced(project, ("run", "prd.json", *agent(project, WRITE), "--yes"), collected)
        assert ran.code == 0, ran.err
        collected.wait_for(lambda: collected.named("run"))
    (work,) = collected.named("agent")
    assert project.git("show", "rad/demo:out/A.txt").strip() == f"00-{'d' * 32}-{work.id}-01"


@contextmanager
def rotel(folder, behind):
    """The real collector, which hands on what it takes."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        grpc, http = (f"127.0.0.1:{each.getsockname()[1]}" for each in (first, second))  # it takes no 0
    flags = ["--otlp-grpc-endpoint", grpc, "--otlp-http-endpoint", http, "--exporter", "otlp",
             "--otlp-exporter-endpoint", behind, "--otlp-exporter-protocol", "http", "--batch-timeout", "100ms",
             "--log-file", str(folder / "agent.log"), "--pid-file", str(folder / "pid")]  # fmt: skip
    with (folder / "rotel.log").open("wb") as log:
        process = subprocess.Popen([ROTEL, "start", *flags], stdout=log, stderr=log)
    try:
        host, port = http.split(":")
        deadline = time.monotonic() + 30
        while not answers(host, int(port)):
            assert process.poll() is None, (folder / "rotel.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://{http}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def answers(host, port):
    with suppress(ConnectionRefusedError), socket.create_connection((host, port)):
        return True
    return False


@pytest.mark.skipif(not CAMPAIGN, reason="starts a collector of its own: RAD_SIGNALS=1")
def test_a_real_collector_has_the_tree(project: Project, tmp_path: Path):
    needs("collector", ROTEL.exists())
    with (
        collector() as collected,
        rotel(tmp_path, collected.url) as url,
        playing(project, script("A"), "A") as (_, command),
    ):
        ran = traced(project, command, collected, url)
        assert ran.code == 0, ran.err
        collected.wait_for(lambda: collected.named("run") and collected.named("model call"))
    check_tree(collected)


def told(ran):
    """What was said, without what differs from one run to the next."""
    return re.sub(
        r"\d{8}-\d{6}-[0-9a-f]{4}|\[ *[\dhms. ]+\]|[0-9a-f]{7,}|after \S+|\d+(\.\d+)?m?s\b", "", ran.err
    )


@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_a_collector_that_takes_nothing_changes_nothing(project: Project, kind: str):
    project.init({"prd.json": prd(story("A")), **FILES})
    assert project.rad("trust", "prd.json", "--yes").code == 0
    plain = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--plain")
    project.write({"prd.json": prd(story("A"), project="other")})
    with silent() as url:
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": refused() if kind == "refused" else url, **NO_PROXY}
        ran = project.rad(
            "run", "prd.json", *agent(project, WRITE), "--yes", "--plain", "--branch", "rad/other", env=where
        )
    assert (ran.code, plain.code) == (0, 0), ran.err
    assert told(ran).replace("rad/other", "rad/demo") == told(plain)
    newest = max((project.folder / ".rad-engineer" / "runs").iterdir())
    assert '"spans dropped"' in (newest / "run.log").read_text()


@pytest.mark.skipif(not CAMPAIGN, reason="measures: RAD_SIGNALS=1, on a machine that has nothing else to do")
@pytest.mark.parametrize("kind", ["refused", "silent", "none"])
def test_the_end_comes_within_three_tenths_of_a_second(project: Project, kind: str):
    project.init({"prd.json": prd(story("A")), **FILES})
    took = []
    with silent() as url:
        where = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": {"refused": refused(), "silent": url, "none": ""}[kind],
            **NO_PROXY,
        }
        for number in range(5):
            branch = ("--branch", f"rad/b{number}", "--fresh", "--no-write-back")
            run = project.start(
                "run", "prd.json", *agent(project, WRITE), "--yes", "--json", *branch, env=where
            )
            for line in run.stdout:
                if '"run_finished"' in line:
                    ended = time.monotonic()
            run.wait(60)
            took.append(round(time.monotonic() - ended, 3))
            run.communicate()
            assert run.returncode == 0
    print(f"\n{kind}: {took}")
    assert sorted(took)[2] <= 0.3
