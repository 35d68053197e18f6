"""An event loop whose clock stands still while anything can run, and jumps to the next timer when nothing can."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable


class _Jumping(selectors.DefaultSelector):
    def __init__(self):
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        assert timeout is not None, "nothing can run any more, and no timer is set"
        found = super().select(0)
        if not found:
            self.now += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self):
        return self._jumping.now


def run(main: Callable[[], Awaitable[object]]):
    """What `main` returns. Inside, asyncio's sleeps and timers take no time; `now` is their clock."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main())


def now():
    return asyncio.get_running_loop().time()
