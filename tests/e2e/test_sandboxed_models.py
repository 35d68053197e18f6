"""Whole runs of agents in boxes without a network: what they ask of models passes the gateway, and nothing else goes out."""

import sysconfig

from tests.aimock import serve
from tests.conftest import prd, story
from tests.sandboxes import needs_bubblewrap

SDK = """
import anthropic
answer = anthropic.Anthropic(max_retries=0).messages.create(
    model="claude-sonnet-4-5", max_tokens=20, messages=[{"role": "user", "content": "hello from the SDK"}]
)
print(answer.content[0].text)
"""
AGENT = """
set -e
inner=$ANTHROPIC_BASE_URL
ask() {{ curl -s -o said.json -w '%{{http_code}}' "$ANTHROPIC_BASE_URL/v1/messages" -H "x-api-key: $1" \
  -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' \
  -d '{{"model": "claude-sonnet-4-5", "max_tokens": 20, "messages": [{{"role": "user", "content": "hello"}}]}}' || true; }}
for word in $ANTHROPIC_API_KEY $(cat token 2>/dev/null) {url}; do
  case $word in http*) ANTHROPIC_BASE_URL=$word; word=$ANTHROPIC_API_KEY ;; esac
  echo "$(ask $word)" >> $RAD_STORY_ID.txt
done
unset -f ask; rm -f said.json
ANTHROPIC_BASE_URL=$inner PYTHONPATH={packages} python3 sdk.py >> $RAD_STORY_ID.txt
echo $ANTHROPIC_API_KEY > token
"""
ANSWERS = [
    {"match": {"userMessage": "hello from the SDK"}, "response": {"content": "the SDK was heard"}},
    {"match": {"userMessage": "hello"}, "response": {"content": "well"}},
]


def test_agents_in_boxes_ask_models(project):
    needs_bubblewrap()
    project.env |= {"ANTHROPIC_API_KEY": "sk-ant-the-key", "RAD_SANDBOX": "bubblewrap"}
    packages = sysconfig.get_paths()["purelib"]
    config = f'[grants]\nread = ["{packages}"]\n[gates]\ncheck = "test ! -e bad"\n'
    project.init({"prd.json": prd(story("A"), story("B", "A")), "rad-engineer.toml": config, "sdk.py": SDK})
    with serve(project.folder.parent / "mock", ANSWERS) as mock:
        path = project.folder.parent / "agent.sh"
        path.write_text(AGENT.format(url=mock.url, packages=packages))
        ran = project.rad("run", "prd.json", "--yes", "--agent-command", f"sh {path}", "--upstream", mock.url,
                          "--allow-unmetered")  # fmt: skip
        assert ran.code == 0, ran.out + ran.err
        heard = [call["body"]["messages"][0]["content"] for call in mock.calls()]
    assert project.git("show", "rad/demo:A.txt").split("\n") == ["200", "000", "the SDK was heard", ""]
    assert project.git("show", "rad/demo:B.txt").split("\n") == ["200", "401", "000", "the SDK was heard", ""]
    assert heard == ["hello", "hello from the SDK"]  # the second story's answers are those of the first
    spent = sorted((project.folder / ".rad-engineer").glob("runs/*/gateway/spend.jsonl"))
    assert spent[0].stat().st_size > 0
