"""Signals that end a block as ^C does."""

import os
import signal

import pytest

from rad_engineer import signals
from rad_engineer.errors import ExitCode, Stopped

CODES = {signal.SIGTERM: ExitCode.TERMINATED, signal.SIGHUP: ExitCode.HUNG_UP}


@pytest.fixture(autouse=True)
def _as_after_a_login():
    before = {each: signal.signal(each, signal.SIG_DFL) for each in CODES}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("sent", CODES)
def test_a_signal_ends_the_block_and_only_once(sent):
    cleaned = []

    def work():
        with signals.unwinding():
            try:
                os.kill(os.getpid(), sent)
            finally:
                for again in CODES:
                    os.kill(os.getpid(), again)
                cleaned.append(1)

    with pytest.raises(Stopped) as stopped:
        work()
    assert (stopped.value.exit_code, cleaned) == (CODES[sent], [1])
    assert {signal.getsignal(each) for each in CODES} == {signal.SIG_DFL}


def test_what_is_ignored_stays_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals.unwinding():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
