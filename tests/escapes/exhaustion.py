"""Using up what others need too. Each takes little: the limit it is held against is smaller still."""

from dataclasses import dataclass

from rad_engineer.process import Limits

MB = 1024 * 1024


@dataclass(frozen=True)
class Glut:
    """A program that says GOT when it has what it wanted, and the limit that is to end it before."""

    name: str
    script: str
    limits: Limits


WAIT = "\ngot()\nimport time\ntime.sleep(1.2)\nprint('KEPT')"

GLUTS = [
    Glut("memory", "x = bytearray(300 << 20)\nx[::4096] = bytes(len(x[::4096]))" + WAIT, Limits(memory=150 * MB)),
    Glut("memory of many", "for _ in range(5):\n    if os.fork() == 0:\n        x = bytearray(60 << 20)\n        x[::4096] = bytes(len(x[::4096]))\n"
         "        import time; time.sleep(2.5); os._exit(0)\n" + WAIT, Limits(memory=150 * MB)),
    Glut("memory as files", "f = open('/tmp/big' + nonce, 'wb')\nfor _ in range(300): f.write(bytes(1 << 20))\nos.unlink(f.name)" + WAIT, Limits(memory=150 * MB, disk=150 * MB)),
    Glut("disk", "f = open('big', 'wb')\nfor _ in range(120): f.write(bytes(1 << 20))\nos.fsync(f)" + WAIT, Limits(disk=60 * MB)),
    Glut("disk without a name", "f = open('gone', 'wb')\nos.unlink('gone')\nfor _ in range(120): f.write(bytes(1 << 20))\nos.fsync(f)" + WAIT, Limits(disk=60 * MB)),
    Glut("names", "for i in range(3000): open(f'n{i}', 'w').close()" + WAIT, Limits(inodes=1500)),
    Glut("processes", "for _ in range(50):\n    if os.fork() == 0:\n        import time; time.sleep(2.5); os._exit(0)\n" + WAIT, Limits(processes=25)),
    Glut("open files", "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (900, 900))\nx = [os.open('/dev/null', 0) for _ in range(800)]" + WAIT, Limits(open_files=400)),
    Glut("output", "for _ in range(12 << 4): sys.stdout.write('x' * 65535 + '\\n')" + WAIT, Limits(output_bytes=4 * MB, grace=0.2)),
    Glut("the processor", "import time\nend = time.process_time() + 1.5\nwhile time.process_time() < end: pass\ngot()\nprint('KEPT')", Limits(cpu=0.5)),
    Glut("time, deaf to being asked", "import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(2)\ngot()\nprint('KEPT')", Limits(seconds=0.4, grace=0.2)),
    Glut("processes that nobody owns", "import time\nfor _ in range(50):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0: time.sleep(2.5)\n        os._exit(0)\n" + WAIT, Limits(processes=25)),
]  # fmt: skip
