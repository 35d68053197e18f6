"""A gateway that lives and does nothing: it is stopped for real (SIGSTOP), and its owner starts it again."""

import os
import signal
import threading
import time

from rad_engineer.gateway.spend import SLACK_TOKENS, read
from tests import billing_upstream
from tests import faulty_upstream as faulty
from tests.gateways import opened
from tests.integration.test_gateway_spending import ESTIMATE, Crowd, price, spent


def test_calls_go_on_after_a_gateway_that_hung_and_nothing_is_paid_twice_beyond_the_slack(tmp_path):
    clients = 8
    with (
        billing_upstream.serve(output=640, pace=0.02) as bill,
        opened(tmp_path, bill.url, run_micro_usd=None, silence_seconds=2.0) as gateway,
    ):
        crowd = Crowd(gateway, bill)
        stopper = threading.Thread(target=_stop, args=(gateway, bill, clients))
        stopper.start()
        crowd.run(clients, 1)
        stopper.join()
        hung = gateway.named("hung")
        assert hung
        assert len(gateway.named("restarted")) == len(hung)
        assert "said nothing for 2 s" in hung[0]["why"]
        assert gateway.named("failed") == []
    assert gateway.door.state["money"]["held_micro_usd"] == 0
    assert len(crowd.waits) == clients
    found = read(tmp_path / "spend.jsonl")
    orphans = sum(story.uncertain_calls for story in found.values())
    paid = price(bill.input_tokens, bill.output_tokens)
    slack = orphans * (ESTIMATE.input.micro_usd + price(0, SLACK_TOKENS))
    assert orphans >= clients
    assert paid <= spent(tmp_path) <= paid + slack
    assert not any(story.open.tokens for story in found.values())
    assert bill.calls == clients + crowd.lost


def _stop(gateway, bill, calls):
    while bill.calls < calls:
        time.sleep(0.005)
    os.kill(gateway.door.pid, signal.SIGSTOP)


def test_one_that_hangs_before_its_first_word_gets_longer(tmp_path):
    with faulty.serve() as upstream, opened(tmp_path, upstream.url, silence_seconds=0.2) as gateway:
        os.kill(gateway.door.pid, signal.SIGSTOP)
        for _ in range(10):
            assert gateway.named("hung") == []
            time.sleep(0.05)
        os.kill(gateway.door.pid, signal.SIGCONT)
        gateway.wait_for(lambda event: event["event"] == "ready")
        assert gateway.named("restarted") == []
