"""The policy in a run and on the command line: what it stops, what it remarks, and who is told."""

import json
import shutil
import subprocess

import pytest

from tests.conftest import Project, agent, prd, story
from tests.required import needs
from tests.secret_samples import samples

KEY = samples(11)["github-token"]
WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
TESTS = "def test_greet():\n    assert 'hi' == 'hi'\n\n\ndef test_part():\n    assert 'bye' == 'by'\n"
FILES = {
    "prd.json": prd(story("A")),
    "rad-engineer.toml": '[gates]\ncheck = "sh check.sh"\n',
    "check.sh": "test ! -e out/bad\n",
    "tests/test_app.py": TESTS,
}


def run(project, script, **more):
    project.init({**FILES, **more})
    return project.rad("run", "prd.json", *agent(project, script), "--yes", "--json")


def violations(ran):
    return [
        (one["rule"], one["severity"], one["path"])
        for event in ran.events
        if event["event"] == "stage_finished" and event["stage"] == "policy"
        for one in event["violations"]
    ]


def ends(ran):
    return [(e["event"], e["reason"]) for e in ran.events if e["event"] in ("attempt_failed", "story_failed")]


def test_a_story_that_deletes_a_failing_test_is_told_why_and_mends_it(project: Project):
    cut = "printf \"def test_greet():\\n    assert 'hi' == 'hi'\\n\" > tests/test_app.py\n"
    mend = "git checkout -q tests/test_app.py; sed -i \"s/'by'/'bye'/\" tests/test_app.py\n"
    ran = run(project, f'{WRITE}if [ "$RAD_ATTEMPT" = 1 ]; then {cut}else {mend}fi\n')
    assert ran.code == 0, ran.err
    assert ends(ran) == [("attempt_failed", "policy")]
    assert violations(ran) == [("tests-removed", "block", "tests/test_app.py")]
    prompt = next(project.folder.glob(".rad-engineer/runs/*/stories/A-*/attempt-2/prompt.md")).read_text()
    assert (
        "tests/test_app.py:5: the test `test_part` is gone, and nothing replaces it [tests-removed]" in prompt
    )
    assert "put the test back and mend the code" in prompt
    assert "test_part" in project.git("show", "rad/demo:tests/test_app.py")


def test_a_secret_reaches_neither_the_repository_nor_anything_that_is_told(project: Project):
    ran = run(project, f"{WRITE}printf 'key = \"{KEY}\"\\n' > out/settings.py\n")
    assert ran.code == 1
    assert ends(ran) == [("attempt_failed", "policy"), ("story_failed", "plateau")]
    assert set(violations(ran)) == {("secret", "block", "out/settings.py")}
    (project.folder / "same").write_text(f'key = "{KEY}"\n')
    blob = project.git("hash-object", "same").strip()
    assert blob not in project.git("cat-file", "--batch-all-objects", "--batch-check")
    explained = project.rad("explain", "A")
    assert "block       out/settings.py:1: github-token " in explained.out
    told = [ran.out, ran.err, explained.out, project.rad("report").out, project.rad("status").out]
    told += [path.read_text() for path in project.folder.glob(".rad-engineer/runs/*/journal.jsonl")]
    told += [
        path.read_text() for path in project.folder.glob(".rad-engineer/runs/*/stories/*/attempt-*/*.*t*")
    ]
    assert not [text for text in told if KEY in text]


def test_what_a_gate_prints_is_told_without_its_secrets(project: Project):
    ran = run(project, WRITE, **{"check.sh": f"echo FAILED with {KEY}\ntest ! -e out/A.txt\n"})
    assert ran.code == 1
    explained = project.rad("explain", "A")
    assert "FAILED with [redacted: github-token " in explained.out
    told = [ran.out, ran.err, explained.out, project.rad("report", "--json").out]
    told += [path.read_text() for path in project.folder.glob(".rad-engineer/runs/*/*.json*")]
    told += [path.read_text() for path in project.folder.glob(".rad-engineer/runs/*/stories/*/attempt-*/*.*")]
    assert not [text for text in told if KEY in text]


def test_unfinished_work_with_a_secret_stays_in_the_run_directory(project: Project):
    ran = run(project, f"{WRITE}printf 'key = \"{KEY}\"\\n' > out/settings.py; exit 1\n")
    assert ran.code == 1
    assert ends(ran)[-1] == ("story_failed", "plateau")
    [note] = {e["text"] for e in ran.events if e["event"] == "note" and "attempt-1" in e["text"]}
    assert "unfinished work has secrets and stays in " in note
    assert KEY not in note
    (project.folder / "same").write_text(f'key = "{KEY}"\n')
    blob = project.git("hash-object", "same").strip()
    assert blob not in project.git("cat-file", "--batch-all-objects", "--batch-check")


def test_what_is_only_remarked_lands_and_is_told(project: Project):
    ran = run(project, f"{WRITE}echo x > uv.lock; echo '# TO''DO: later' > out/a.py\n")
    assert ran.code == 0
    assert sorted(violations(ran)) == [("lock-file", "warn", "uv.lock"), ("unfinished", "warn", "out/a.py")]
    assert "A: uv.lock: a lock file [lock-file]" in [e["text"] for e in ran.events if e["event"] == "note"]
    assert "A: uv.lock: a lock file" in project.rad("report").out
    shown = project.rad("explain", "A")
    assert "  warn        uv.lock: a lock file [lock-file]" in shown.out
    assert {one["rule"] for one in json.loads(project.rad("explain", "A", "--json").out)["policy"]} == {
        "lock-file", "unfinished",
    }  # fmt: skip


def test_a_project_says_what_blocks(project: Project):
    own = '[policy.severity]\nlock-file = "block"\n\n[policy.rules.no-print]\npattern = "print\\\\("\nseverity = "block"\nmessage = "use the log"\n'
    ran = run(project, f"{WRITE}echo x > uv.lock; echo 'print(1)' > out/a.py\n", **{"policy/house.toml": own})
    assert ran.code == 1
    assert set(violations(ran)) == {("lock-file", "block", "uv.lock"), ("no-print", "block", "out/a.py")}


@pytest.mark.parametrize("path", ["policy/house.toml", "policy/baseline.txt", "policy/more.toml"])
def test_a_story_cannot_change_the_policy(project: Project, path):
    script = f"{WRITE}mkdir -p policy; printf '[policy.severity]\\nsecret = \"off\"\\n' > {path}\n"
    ran = run(project, script, **{"policy/house.toml": '[policy.severity]\nlock-file = "block"\n'})
    assert ran.code == 1
    assert ends(ran)[0] == ("attempt_failed", "protected-path")
    assert set(violations(ran)) == {("protected-path", "block", path)}


def test_what_attributes_call_binary_is_looked_into(project: Project):
    ran = run(
        project, f"{WRITE}printf 'key = \"{KEY}\"\\n' > out/a.dat\n", **{".gitattributes": "*.dat -diff\n"}
    )
    assert set(violations(ran)) == {("secret", "block", "out/a.dat")}


def test_tests_may_go_where_the_user_allows_it(project: Project):
    project.init(FILES)
    ran = project.rad(
        "run",
        "prd.json",
        *agent(project, f"{WRITE}rm tests/test_app.py\n"),
        "--yes",
        "--json",
        "--allow-missing-tests",
    )
    assert ran.code == 0
    assert set(violations(ran)) == {("tests-removed", "warn", "tests/test_app.py")}


def test_commits_ranges_and_patches(project: Project):
    project.init(FILES)
    project.write({"a.py": "x = 1\n"})
    project.commit("good")
    project.write({"a.py": f"x = '{KEY}'\n"})
    bad = project.commit("bad")
    project.write({"a.py": "x = 2\n", "uv.lock": "x\n"})
    project.commit("better")
    head = project.rad("policy", "test")
    assert (head.code, "1 checked, 0 would be stopped, 1 warnings" in head.out) == (0, True)
    one = project.rad("policy", "test", bad[:10])
    assert one.code == 1
    assert f"{bad[:12]}: bad" in one.out
    assert "block  a.py:1: github-token " in one.out
    assert KEY not in one.out
    found = json.loads(project.rad("policy", "test", "HEAD~3..HEAD", "--json").out)
    assert (found["stopped"], [row["subject"] for row in found["checked"]]) == (1, ["good", "bad", "better"])
    assert [row["stopped"] for row in found["checked"]] == [False, True, False]
    first = project.rad("policy", "test", "HEAD~3")
    assert (first.code, "rad-engineer.toml: this judges the work" in first.out) == (1, True)
    (project.folder / "bad.patch").write_text(project.git("show", bad))
    assert project.rad("policy", "test", "bad.patch").code == 1
    wrong = project.rad("policy", "test", "nothing-like-this")
    assert (wrong.code, "names no commits" in wrong.err) == (66, True)
    assert project.rad("policy", "test", "check.sh").code == 66


def test_a_hash_in_the_baseline_is_accepted(project: Project):
    project.init(FILES)
    project.write({"a.py": f"x = '{KEY}'\n"})
    project.commit("bad")
    shown = project.rad("policy", "test").out
    digest = shown.partition("github-token ")[2][:8]
    project.write({"policy/baseline.txt": f"{digest}  # of the test server\n"})
    assert project.rad("policy", "test").code == 0


def test_rules_are_listed_and_explained(project: Project):
    project.init(
        {
            **FILES,
            "rad-engineer.toml": '[policy.severity]\nsecret = "warn"\n[policy.except]\nsecret = ["docs/"]\n',
        }
    )
    listed = project.rad("policy", "list")
    assert "warn   secret" in listed.out
    assert "(as configured)" in listed.out
    rows = {row["rule"]: row for row in json.loads(project.rad("policy", "list", "--json").out)["rules"]}
    assert (rows["secret"]["severity"], rows["secret"]["default"], rows["secret"]["except"]) == (
        "warn",
        "block",
        ["docs/"],
    )
    explained = project.rad("policy", "explain", "secret")
    assert "severity:  warn (by default block)" in explained.out
    assert "except:    docs/" in explained.out
    assert json.loads(project.rad("policy", "explain", "prd", "--json").out)["severity"] == "block"
    assert project.rad("policy", "explain", "nothing").code == 66


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rad-engineer.toml", '[policy.severity]\nsecrets = "warn"\n', "no rule is called `secrets`"),
        ("rad-engineer.toml", "policy = 3\n", "expected a table"),
        ("policy/x.toml", "[policy.limits]\nlines = 3\n", "unknown limit `lines`"),
        ("policy/x.toml", "policy = 3\n", "`policy` is not a table"),
        ("policy/x.toml", "[policy\n", "policy/x.toml"),
        ("policy/baseline.txt", "my-secret\n", "expected hashes of eight digits"),
    ],
)
def test_a_policy_that_cannot_be_understood_ends_with_78(project: Project, name, text, said):
    project.init({**FILES, name: text})
    for command in (("policy", "list"), ("run", "prd.json", *agent(project, WRITE), "--yes")):
        ran = project.rad(*command)
        assert (ran.code, said in ran.err) == (78, True), ran.err


def test_other_peoples_files_in_a_folder_of_that_name_say_nothing(project: Project):
    project.init({**FILES, "policy/fees.toml": "[fees]\nlate = 3\n"})
    assert project.rad("policy", "list").code == 0


def test_an_installed_scanner_is_a_gate_besides(project: Project):
    needs("detect-secrets", shutil.which("detect-secrets-hook"))
    project.init({**FILES, "old.py": f'token = "{KEY}"\n'})
    scanned = subprocess.run(
        ["detect-secrets", "scan"], cwd=project.folder, capture_output=True, text=True, check=True
    )
    project.write({".secrets.baseline": scanned.stdout})
    project.commit("baseline")
    off = ["--yes", "--json", "--attempts", "1"]
    script = f"{WRITE}sed -i '1i # moved' old.py\n"
    ran = project.rad("run", "prd.json", *agent(project, script), *off)
    assert ran.code == 0, ran.err
    gates = {
        e["gate"]: e["verdict"] for e in ran.events if e["event"] == "gate_finished" and e["story"] == "A"
    }
    assert gates == {"check": "green", "detect-secrets": "no-evidence"}
    project.write({"prd.json": prd(story("B"))})
    hidden = (
        f"{WRITE}echo 'password = \"Tr0ub4dor-and-3\"' > out/b.py\n"  # not what our own rules take for one
    )
    ran = project.rad("run", "prd.json", *agent(project, hidden), *off)
    assert ran.code == 1
    assert [e["detail"] for e in ran.events if e["event"] == "story_failed"] == ["detect-secrets (red)"]
