"""`rad-engineer agents`: what is installed, what each can do, who counts."""

import json
import os

from tests.fake_cli import install


def test_agents_are_listed(project):
    project.init({})
    install("claude", project.folder.parent, version="2.1.330", unknown=["--permission-prompts"])
    path = f"{project.folder.parent / 'bin'}{os.pathsep}{project.env['PATH']}"
    for key, counted in (("", "unmetered"), ("sk-ant-planted", "metered")):
        ran = project.rad("agents", env={"PATH": path, "ANTHROPIC_API_KEY": key})
        assert ran.code == 0, ran.err
        lines = {line.split()[0]: line.split() for line in ran.out.splitlines() if line}
        assert lines["claude"][1:3] == ["2.1.330", counted]
        assert lines["claude"][3:7] == ["events", "cost", "model", "resume"]
        assert lines["claude:acp"][:3] == ["claude:acp", "no", counted]
        assert "permissions" in lines["claude:acp"]
        assert lines["cursor-agent"][1:3] == ["no", "unmetered"]
        assert lines["anthropic"][1:3] == (["rad-engineer", "0.1.0"] if key else ["no", "metered"])
        assert ("~/.claude/.credentials.json" in ran.out) == (not key)
        assert "warning: claude 2.1.330 has no --permission-prompts" in ran.out
        assert "planted" not in ran.out + ran.err


def test_agents_for_programs(project):
    project.init({})
    install("opencode", project.folder.parent, version="1.18.33")
    path = f"{project.folder.parent / 'bin'}{os.pathsep}{project.env['PATH']}"
    told = json.loads(project.rad("agents", "--json", env={"PATH": path}).out)
    assert (told["schema_version"], told["key"]) == (1, False)
    [found] = [row for row in told["agents"] if row["name"] == "opencode"]
    assert (found["installed"], found["version"], found["metered"]) == (True, "1.18.33", False)
    assert found["warnings"] == []
