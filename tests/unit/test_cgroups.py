"""What control groups allow, read from trees as the kernel shows them."""

from pathlib import Path

from rad_engineer.delivery.cgroups import Bounds, bounds


def tree(folder: Path, files: dict[str, str], lines: str) -> Bounds:
    for name, text in files.items():
        path = folder / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    (folder / "cgroup").write_text(lines)
    return bounds(folder / "cgroup", folder / "fs")


def test_the_nearest_ancestor_with_a_limit_counts(tmp_path):
    found = tree(tmp_path, {
        "cgroup.controllers": "cpu memory pids", "a/b/memory.max": "max", "a/b/memory.current": "5",
        "a/memory.max": "1000", "a/memory.current": "400", "a/pids.max": "50", "a/pids.current": "8",
        "a/b/cpu.max": "150000 100000"}, "0::/a/b\n")  # fmt: skip
    assert (found.memory, found.processes, found.processors) == (600, 42, 1.5)
    assert found.where == f"{tmp_path}/fs/a, {tmp_path}/fs/a/b"


def test_the_tightest_of_several_counts(tmp_path):
    found = tree(tmp_path, {
        "cgroup.controllers": "memory", "a/memory.max": "1000", "a/memory.current": "990",
        "a/b/memory.max": "500", "a/b/memory.current": "5"}, "0::/a/b\n")  # fmt: skip
    assert (found.memory, found.where) == (10, f"{tmp_path}/fs/a")


def test_version_1(tmp_path):
    found = tree(tmp_path, {
        "memory/box/memory.limit_in_bytes": "2048", "memory/box/memory.usage_in_bytes": "48",
        "memory/memory.limit_in_bytes": str((1 << 63) - 4096), "cpu,cpuacct/box/cpu.cfs_quota_us": "50000",
        "cpu,cpuacct/box/cpu.cfs_period_us": "100000", "cpu,cpuacct/cpu.cfs_quota_us": "-1", "pids/box/pids.max": "max"},
        "3:cpu,cpuacct:/box\n2:pids:/box\n1:memory:/box\n9:name=systemd:/box\n")  # fmt: skip
    assert (found.memory, found.processes, found.processors) == (2000, None, 0.5)


def test_a_container_sees_its_own_part_only(tmp_path):
    files = {"cgroup.controllers": "memory", "memory.max": "100", "memory.current": "1"}
    assert tree(tmp_path, files, "0::/docker/4f5e/system.slice\n").memory == 99
    assert bounds(tmp_path / "cgroup", tmp_path / "fs") == Bounds(99, None, None, f"{tmp_path}/fs")


def test_outside_of_our_namespace_its_root_is_what_can_be_seen(tmp_path):
    files = {"cgroup.controllers": "memory", "memory.max": "100", "memory.current": "101"}
    assert tree(tmp_path, files, "0::/../../other\n").memory == 0


def test_no_groups_no_limits(tmp_path):
    assert bounds(tmp_path / "nothing", tmp_path) == Bounds()
    assert tree(tmp_path, {}, "0::/\n") == Bounds()
