"""A coordinator is stopped or killed while calls are on their way: what they have cost is in the ledger, and nothing is held.

RAD_GATEWAY_ROUNDS=20 does so twenty times in each way.
"""

import asyncio
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from rad_engineer.gateway.exchange import Usage
from rad_engineer.gateway.prices import Prices
from rad_engineer.gateway.spend import SLACK_TOKENS, read
from tests import billing_upstream
from tests.gateways import MODEL
from tests.integration.metered_calls import call

PROGRAM = Path(__file__).with_name("stopped_program.py")
PRICES = Prices({})
ROUNDS = int(os.environ.get("RAD_GATEWAY_ROUNDS", "0")) or 1
CALLS = 8
HURRIED, PATIENT = 0.2, 4.0  # how long a gateway lets calls go on: shorter and longer than an answer takes
STOPS = {"SIGTERM": signal.SIGTERM, "kill -9": signal.SIGKILL}


def price(input_tokens, output_tokens):
    return PRICES.settle(MODEL, Usage(input_tokens, output_tokens))


class Coordinator:
    """A process with a gateway before that upstream, and clients that it knows nothing of."""

    def __init__(self, folder, upstream, linger):
        self.folder = folder
        settings = json.dumps({"run_micro_usd": None, "per_model": CALLS, "linger_seconds": linger})
        argv = [sys.executable, str(PROGRAM), str(folder), upstream, settings]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.process.stdout.readline())

    async def asked(self, bill, moment, stop):
        """Makes the calls, and stops the coordinator a moment after all of them are on their way."""
        async with httpx2.AsyncClient(base_url=self.about["url"], trust_env=False, timeout=60) as http:
            before = bill.calls
            calls = [asyncio.create_task(self._ask(http, number)) for number in range(CALLS)]
            while bill.calls < before + CALLS:  # noqa: ASYNC110 - another thread counts
                await asyncio.sleep(0.002)
            await asyncio.sleep(moment)
            self.process.send_signal(stop)
            for each in calls[: CALLS // 2]:
                each.cancel()  # half of the clients end with it, as workers do
            return await asyncio.gather(*calls, return_exceptions=True)

    async def _ask(self, http, number):
        token = self.about["tokens"][number]
        data = {"model": MODEL, "max_tokens": 64_000, "stream": True,
                "messages": [{"role": "user", "content": f"S{number:02}"}]}  # fmt: skip
        answer = await http.post("/v1/messages", json=data, headers={"authorization": f"Bearer {token}"})
        return answer.content

    def ended(self):
        """Waits for the end of the coordinator, and of its gateway; what the last word of it was."""
        said, _ = self.process.communicate()
        code = self.process.returncode
        with (self.folder / "spend.jsonl").open("r+b") as ledger:
            fcntl.flock(ledger, fcntl.LOCK_EX)  # which the gateway has until its end
        return code, json.loads(said or "{}")


WAYS = [("SIGTERM", HURRIED), ("kill -9", PATIENT), ("SIGTERM", PATIENT), ("kill -9", HURRIED)]


@pytest.mark.parametrize(("how", "linger"), WAYS if "RAD_GATEWAY_ROUNDS" in os.environ else WAYS[:2])
def test_what_calls_under_way_cost_is_known_however_a_coordinator_ends(tmp_path, how, linger):
    chance = random.Random(6)
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        with billing_upstream.serve(output=640, pace=0.015) as bill:  # 0.6 s
            coordinator = Coordinator(folder, bill.url, linger)
            asyncio.run(coordinator.asked(bill, chance.random() * 0.3, STOPS[how]))
            code, state = coordinator.ended()
        assert code == (0 if how != "kill -9" else -signal.SIGKILL)
        stories = read(folder / "spend.jsonl").values()
        total, cut = sum(one.micro_usd for one in stories), sum(one.uncertain_calls for one in stories)
        owed = price(bill.input_tokens, bill.output_tokens)
        print(f"{how}: bill {owed}, ledger {total}, {cut} of {CALLS} estimated")
        assert owed <= total <= owed + cut * (price(0, SLACK_TOKENS) + estimate().input.micro_usd)
        assert not any(one.open.tokens for one in stories)
        assert state.get("money", {}).get("held_micro_usd", 0) == 0
        assert cut == (CALLS if linger == HURRIED else 0)


def estimate():
    return PRICES.estimate(call(number=1, messages=[{"role": "user", "content": "S00"}]))
