"""What a machine has left is read as the kernel says it, and a run follows it. The files are the kernel's, in a folder."""

import json

import pytest

from rad_engineer import resources, store
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.ledger import Ledger
from rad_engineer.monitor import Monitor
from rad_engineer.watch.wording import sentence

GIB = 1 << 30
MEMINFO = "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: {} kB\n"


class Machine:
    """A folder in place of /."""

    def __init__(self, root):
        self.root = root
        self.write("proc/meminfo", MEMINFO.format(8 << 20))
        self.write("proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3\n")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "machine")


def test_without_control_groups_the_machine_counts(machine):
    found = resources.Meter(machine.root).read()
    assert (found.memory_limit, found.memory_left) == (16 * GIB, 8 * GIB)
    assert found.pressure == {}


def test_processors_are_busy_between_two_readings(machine):
    meter = resources.Meter(machine.root)
    assert 0 <= meter.read().cpu <= 1  # the load, until there are two readings
    machine.write("proc/stat", "cpu  170 0 130 900 0 0 0 0 0 0\n")
    assert meter.read().cpu == 0.5


def test_the_nearest_ancestor_that_leaves_least_counts_in_version_2(machine):
    machine.write("proc/self/cgroup", "0::/jobs/one\n")
    for folder, limit, used in (("", "max", 9), ("jobs", 4 * GIB, 3 * GIB), ("jobs/one", 2 * GIB, GIB // 2)):
        machine.write(f"sys/fs/cgroup/{folder}/memory.max", f"{limit}\n")
        machine.write(f"sys/fs/cgroup/{folder}/memory.current", f"{used}\n")
    assert resources.group_memory(machine.root) == (3 * GIB, 4 * GIB)
    machine.write("sys/fs/cgroup/jobs/memory.stat", f"anon 5\ninactive_file {2 * GIB}\n")
    assert resources.Meter(machine.root).read().memory_left == 3 * GIB // 2  # now it is its own limit
    machine.write("sys/fs/cgroup/jobs/one/cpu.max", "max 100000\n")
    machine.write("sys/fs/cgroup/jobs/cpu.max", "150000 100000\n")
    assert resources.processors(machine.root) == 1
    assert resources.group_processors(machine.root) == 1.5


def test_the_tightest_limit_to_processes_counts(machine):
    assert resources.group_processes(machine.root) is None
    machine.write(
        "proc/self/cgroup", "0::/../jobs/one\n"
    )  # outside of our namespace its root is what can be seen
    for folder, limit, used in (("jobs", 50, 8), ("jobs/one", "max", 3)):
        machine.write(f"sys/fs/cgroup/{folder}/pids.max", f"{limit}\n")
        machine.write(f"sys/fs/cgroup/{folder}/pids.current", f"{used}\n")
    assert resources.group_processes(machine.root) == 42
    machine.write("sys/fs/cgroup/jobs/one/pids.max", "2\n")
    assert resources.group_processes(machine.root) == 0


def test_version_1_has_other_names(machine):
    machine.write("proc/self/cgroup", "4:memory:/box\n1:cpu,cpuacct:/box\n0::/\n")
    machine.write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", f"{GIB}\n")
    machine.write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", f"{GIB // 2}\n")
    machine.write("sys/fs/cgroup/memory/box/memory.stat", f"cache 7\ntotal_inactive_file {GIB // 4}\n")
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    machine.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n")
    machine.write("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "100000\n")
    machine.write("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n")
    found = resources.Meter(machine.root).read()
    assert (found.memory_limit, found.memory_left) == (GIB, 3 * GIB // 4)
    assert resources.processors(machine.root) == 1


def test_pressure_is_that_of_the_group_before_that_of_the_machine(machine):
    told = "some avg10={} avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    machine.write("proc/pressure/memory", told.format("40.00"))
    machine.write("proc/pressure/io", told.format("10.00"))
    machine.write("proc/pressure/cpu", "nonsense\nsome avg10=much\n")
    assert resources.pressure(machine.root) == {"memory": 0.4, "io": 0.1}
    machine.write("proc/self/cgroup", "0::/one\n")
    machine.write("sys/fs/cgroup/one/memory.pressure", told.format("5.00"))
    assert resources.pressure(machine.root) == {"memory": 0.05, "io": 0.1}


def test_where_the_kernel_has_no_files_psutil_answers(tmp_path):
    found = resources.Meter(tmp_path).read()
    assert 0 < found.memory_left < found.memory_limit


class Pipe:
    """A run's ledger, and what it was told."""

    def __init__(self, folder):
        folder.mkdir()
        self.events = []
        self.folder = folder
        journal = store.Journal(folder / "journal.jsonl", "r1", 0, 0)
        self.ledger = Ledger(None, Checkpoint(run="r1"), journal, [], lambda: 5.0, hear=self.events.append)

    def told(self):
        return [(event.kind, dict(event.data)) for event in self.events]


def test_a_run_pauses_while_memory_is_short_and_goes_on_afterwards(machine, tmp_path):
    run = Pipe(tmp_path / "run")
    monitor = Monitor(run.folder, run.ledger, 4, adapts=True, root=machine.root)
    now = iter(range(0, 1000, 5))
    monitor.look(next(now))
    assert monitor.room(2) == 2
    machine.write("proc/meminfo", MEMINFO.format(100 << 10))
    for _ in range(3):
        monitor.look(next(now))
    assert run.told() == [("starts_paused", {"cause": "memory", "jobs": 2})]
    assert monitor.room(2) == 0
    assert sentence(run.events[0], run.ledger.checkpoint) == (
        "nothing more is started: this machine is short of memory; 2 stories go on"
    )
    machine.write("proc/meminfo", MEMINFO.format(8 << 20))
    for _ in range(6):
        monitor.look(next(now))
    assert run.told()[1:] == [("starts_resumed", {"jobs": 3})]
    assert monitor.room(2) == 2
    pulse = json.loads((run.folder / "pulse.json").read_text())
    assert pulse["jobs"] == 4
    assert pulse["resources"]["memory_limit"] == 16 * GIB


def test_who_says_how_many_gets_so_many(machine, tmp_path):
    run = Pipe(tmp_path / "run")
    monitor = Monitor(run.folder, run.ledger, 4, adapts=False, root=machine.root)
    machine.write("proc/meminfo", MEMINFO.format(1))
    for now in range(0, 100, 5):
        monitor.look(now)
    assert run.told() == []
    assert monitor.room(1) == 4


def test_it_reads_every_few_seconds_only(machine, tmp_path):
    run = Pipe(tmp_path / "run")
    monitor = Monitor(run.folder, run.ledger, 4, adapts=True, root=machine.root)
    monitor.look(100.0)
    (run.folder / "pulse.json").unlink()
    monitor.look(104.9)
    assert not (run.folder / "pulse.json").exists()
    monitor.look(105.0)
    assert (run.folder / "pulse.json").exists()
