"""schemathesis against a real server, and what many requests leave in its memory: with RAD_SERVER=1."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import pytest
from past_runs import Past, repository

from tests.required import needs
from tests.serving import PLANTED, Client, served

pytestmark = [
    pytest.mark.skipif(not os.environ.get("RAD_SERVER"), reason="RAD_SERVER=1 runs it"),
    pytest.mark.timeout(600),
]
PROGRAM = Path(__file__).parents[2] / ".venv-tools/bin/schemathesis"
RUN = "20260102-000000-bbbb"
CONFIGURATION = f"""
warnings.fail-on = true
[parameters]
"path.run" = "{RUN}"
"path.story" = "US-1"
"""
TOKEN = "t" * 20
REQUESTS = 10_000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema")
    project = repository(folder / "project")
    old = Past(project)
    old.land("US-1")
    old.say("run_finished", exit_code=1)
    new = Past(project, RUN, alive=True)
    new.land("US-1")
    (folder / "token").write_text(TOKEN)
    (folder / "token").chmod(0o600)
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    return folder, project


def schemathesis(client, folder, *flags):
    """How it ended, what it printed, and the statuses of each operation."""
    assert PROGRAM.exists(), "requirements/venv tools"
    reports = folder / "reports"
    told = [PROGRAM, "--config-file", folder / "schemathesis.toml", "run", f"{client.url}/openapi.json"]
    more = [
        "--checks",
        "all",
        "-H",
        f"Authorization: Bearer {TOKEN}",
        "--report",
        "ndjson",
        "--report-dir",
        reports,
    ]
    done = subprocess.run(
        [*map(str, (*told, *more, *flags))], cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "120"}
    )  # fmt: skip
    seen = defaultdict(set)
    for line in max(reports.iterdir(), key=lambda path: path.stat().st_mtime_ns).read_text().splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for name, interaction in recorder.get("interactions", {}).items():
            if interaction.get("response"):
                seen[recorder["cases"][name]["value"]["path"]].add(interaction["response"]["status_code"])
    return done.returncode, done.stdout, seen


def test_every_operation_keeps_what_the_document_says(place):
    folder, project = place
    flags = ("--token-file", folder / "token", "--requests-per-minute", 0)
    with served(project, folder, *flags, token=TOKEN) as client:
        paths = set(client.get("/openapi.json").json["paths"])
        code, said, seen = schemathesis(client, folder, "--max-examples", 50, "--seed", 1)
        assert client.log.stat().st_size < 100_000
        own = "/openapi.json"  # schemathesis asks for it, and does not test it
        seen[own] |= {client.get(own).status, client.get(own, authorization="").status}
    assert code == 0, said
    assert set(seen) == paths
    for path, statuses in seen.items():
        classes = {each // 100 for each in statuses}
        assert {2, 4} <= classes <= {2, 3, 4}, (path, statuses)
    print(said[-600:], {path: sorted(each) for path, each in seen.items()})


def test_a_route_that_fails_is_found(place, tmp_path):
    folder, project = place
    flags = ("--token-file", folder / "token", "--requests-per-minute", 0)
    with served(project, tmp_path, *flags, token=TOKEN, changed=PLANTED) as client:
        assert client.get("/crash").status == 500
        code, said, seen = schemathesis(client, folder, "--max-examples", 5, "--include-path", "/crash")
        assert "AttributeError" in client.log.read_text()
    assert (code, 500 in seen["/crash"]) == (1, True)
    assert "Server error" in said


def test_prometheus_scrapes_it_with_the_token_and_not_without(place, tmp_path):
    needs("promtool", shutil.which("prometheus"))
    folder, project = place
    with served(project, tmp_path, "--token-file", folder / "token", token=TOKEN) as client:
        target = f'static_configs: [{{targets: ["127.0.0.1:{client.port}"]}}]'
        shown = f"authorization: {{credentials_file: {folder}/token}}"
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n"
            f"- {{job_name: shown, {shown}, {target}}}\n- {{job_name: hidden, {target}}}\n"
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        files = (f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data")
        with (tmp_path / "prometheus.log").open("wb") as log:
            scraper = subprocess.Popen(
                ["prometheus", *files, f"--web.listen-address=127.0.0.1:{port}"], stderr=log
            )
        try:
            found = {}
            while len(found) < 2:
                time.sleep(0.5)
                with contextlib.suppress(ConnectionError):
                    answer = Client(f"http://127.0.0.1:{port}").get("/api/v1/query?query=up")
                    found = {
                        each["metric"]["job"]: each["value"][1] for each in answer.json["data"]["result"]
                    }
        finally:
            scraper.terminate()
            scraper.wait()
    assert found == {"shown": "1", "hidden": "0"}


def test_memory_does_not_grow_with_requests(place, tmp_path):
    folder, project = place
    long = Past(project, "20260103-000000-cccc", alive=True)
    for number in range(3_000):
        long.say("note", text=f"{number} " + "x" * 200)
    paths = ["/health", "/ready", "/status", "/metrics", "/openapi.json", "/api/runs", f"/api/runs/{RUN}",
             f"/api/runs/{RUN}/stories", f"/api/runs/{RUN}/events?limit=10", "/nowhere"]  # fmt: skip
    with served(
        project, tmp_path, "--token-file", folder / "token", "--requests-per-minute", 0, token=TOKEN
    ) as client:
        sizes = []
        for _ in range(2):
            for number in range(REQUESTS):
                assert client.get(paths[number % len(paths)]).status in (200, 404)
            sizes.append(client.get("/status").json["memory_mb"])
    print(f"memory after {REQUESTS} and {2 * REQUESTS} requests: {sizes} MB")
    assert sizes[1] <= sizes[0] * 1.05
