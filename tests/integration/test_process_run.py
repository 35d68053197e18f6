"""process.run, capture and shell with real commands."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from process_marks import clean_environment, marked_processes

from rad_engineer import process
from rad_engineer.errors import CannotWrite
from rad_engineer.process import Completed, Limits

ENV = clean_environment()
CHAIN = """
import os, time
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.0005)
"""
TREES = {
    "nothing": "true",
    "background": "sleep 300 &",
    "pipe holder": "(exec 0</dev/null; sleep 300) & sleep 300 >/dev/null 2>&1 &",
    "ignores TERM": "(trap '' TERM INT HUP; exec sleep 300) & (trap '' TERM; sleep 300; sleep 300) &",
    "new session": "setsid sleep 300 & nohup setsid sh -c 'trap \"\" TERM; sleep 300' >/dev/null 2>&1 &",
    "double fork": "(setsid sh -c 'setsid sleep 300 & exit 0' &) ; sh -c 'sh -c \"sleep 300 &\" &'",
    "respawns": "(trap '' TERM; while :; do setsid sleep 0.01; done) &",
    "fork chain": f"{sys.executable} -c '{CHAIN}' &",
    "stopped": "sleep 300 & kill -STOP $! && setsid sh -c 'kill -STOP $$; sleep 300' &",
    "many": "for i in 1 2 3 4 5 6 7 8; do (for j in 1 2 3 4 5; do sleep 300 & done; wait) & done",
}


mark = pytest.fixture(marked_processes)


def run(command: str | list[str], tmp_path: Path, env: dict[str, str] | None = None, **options) -> Completed:
    argv = ["bash", "-c", command] if isinstance(command, str) else command
    return process.run(argv, cwd=tmp_path, env=ENV | (env or {}), **options)


def test_tells_how_the_command_ended(tmp_path):
    ended = run("echo out; echo err >&2; exit 3", tmp_path)
    assert (ended.code, ended.reason, ended.output, ended.last_line) == (3, "exited", "out\nerr\n", "err")
    assert ended.output_bytes == 8
    assert ended.sha256 == hashlib.sha256(b"out\nerr\n").hexdigest()


def test_a_signal_is_told_as_a_shell_tells_it(tmp_path):
    assert run("kill -SEGV $$", tmp_path).code == 128 + signal.SIGSEGV


def test_no_output_makes_no_log(tmp_path):
    ended = run(["true"], tmp_path, log=tmp_path / "log")
    assert (ended.output, ended.last_line, ended.sha256) == ("", "", hashlib.sha256(b"").hexdigest())
    assert not (tmp_path / "log").exists()


def test_binary_output_is_kept_in_the_log_and_readable_in_the_result(tmp_path):
    ended = run(r"printf 'a\377\000b'", tmp_path, log=tmp_path / "deep" / "log")
    assert ended.output == "a�\0b"
    assert ended.last_line == "a�b"
    assert (tmp_path / "deep" / "log").read_bytes() == b"a\xff\0b"


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["no-such-command-anywhere"], 127, "no-such-command-anywhere: command not found"),
        (["./plain"], 126, "Permission denied"),
        (["."], 126, "Permission denied"),
        (["echo", "a\0b"], 126, "null byte"),
        (["echo", "x" * 3_000_000], 126, "too long"),
    ],
)
def test_what_cannot_be_started_has_a_shells_exit_code(tmp_path, argv, code, told):
    (tmp_path / "plain").write_text("echo hi\n")
    ended = run(argv, tmp_path)
    assert (ended.code, ended.reason) == (code, "not-started")
    assert told in ended.output


def test_a_directory_that_is_not_there_is_named(tmp_path):
    ended = process.run(["true"], cwd=tmp_path / "gone", env=ENV)
    assert (ended.code, ended.reason) == (126, "not-started")
    assert str(tmp_path / "gone") in ended.last_line


def test_a_script_without_an_interpreter_line_runs_as_in_a_shell(tmp_path):
    (tmp_path / "script").write_text('echo "got $1"; exit 4\n')
    (tmp_path / "script").chmod(0o755)
    ended = run(["./script", "a b"], tmp_path)
    assert (ended.code, ended.output) == (4, "got a b\n")


def test_stdin_comes_from_bytes_a_file_or_nowhere(tmp_path):
    data = os.urandom(1_000_000)
    (tmp_path / "prompt").write_bytes(data)
    wanted = hashlib.sha256(data).hexdigest()
    assert run(["cat"], tmp_path, stdin=data).sha256 == wanted
    assert run(["cat"], tmp_path, stdin=tmp_path / "prompt").sha256 == wanted
    assert run(["cat"], tmp_path).output_bytes == 0


def test_the_log_and_the_result_keep_head_and_tail(tmp_path):
    log = tmp_path / "log"
    ended = run(
        f"{sys.executable} -c 'for i in range(200000): print(i)'",
        tmp_path,
        log=log,
        limits=Limits(log_bytes=300_000),
    )
    whole = "".join(f"{i}\n" for i in range(200000)).encode()
    assert ended.output_bytes == len(whole)
    assert ended.sha256 == hashlib.sha256(whole).hexdigest()
    for text, most in ((ended.output.encode(), 132_000), (log.read_bytes(), 370_000)):
        head, _, tail = text.partition(b"\n[... ")
        missing = int(tail.split(b" ", 1)[0])
        tail = tail.partition(b" ...]\n")[2]
        assert len(text) <= most
        assert len(head) + missing + len(tail) == len(whole)
        assert whole.startswith(head)
        assert whole.endswith(tail)


def test_a_log_is_whole_as_long_as_it_fits(tmp_path):
    run(["seq", "100000"], tmp_path, log=tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == "".join(f"{i}\n" for i in range(1, 100001)).encode()


def test_a_log_that_cannot_be_written_ends_the_command(tmp_path, mark):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite):
        run("echo hi; sleep 300", tmp_path, env=mark.env, log=tmp_path / "file" / "log")
    assert mark.left() == []


FLOOD = """
import os, resource, sys
from pathlib import Path
from rad_engineer import process
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ended = process.run(["head", "-c", "200000000", "/dev/zero"], cwd=Path("/"), env=dict(os.environ),
                    log=Path(sys.argv[1]), limits=process.Limits(output_bytes=1 << 30))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(ended.reason, ended.output_bytes, grown)
"""


def test_a_flood_costs_no_memory_and_little_disk(tmp_path):
    root = str(Path(__file__).parents[2])
    out = subprocess.check_output(
        [sys.executable, "-c", FLOOD, str(tmp_path / "log")], env=ENV | {"PYTHONPATH": root}, text=True
    )
    reason, size, grown = out.split()
    assert (reason, size) == ("exited", "200000000")
    assert int(grown) < 8_000, "kB"
    assert (tmp_path / "log").stat().st_size < 17 * 1024 * 1024


def test_an_endless_flood_is_stopped(tmp_path, mark):
    started = time.monotonic()
    ended = run(
        "trap '' TERM; yes; yes", tmp_path, env=mark.env, limits=Limits(output_bytes=3_000_000, grace=30)
    )
    assert ended.reason == "flooded"
    assert 3_000_000 < ended.output_bytes < 3_200_000
    assert time.monotonic() - started < 10
    assert mark.left() == []


def test_a_flood_that_ends_by_itself_is_a_flood_all_the_same(tmp_path):
    ended = run("head -c 60000 /dev/zero", tmp_path, limits=Limits(output_bytes=50_000))
    assert ended.reason == "flooded"


def test_the_time_limit_stops_it_with_a_chance_to_say_goodbye(tmp_path):
    ended = run("trap 'echo bye; exit 9' TERM; sleep 300 & wait", tmp_path, limits=Limits(seconds=0.2))
    assert (ended.code, ended.reason, ended.output) == (9, "timeout", "bye\n")
    assert 0.2 <= ended.seconds < 4


def test_everybody_is_asked_to_end_only_once(tmp_path):
    count = "trap 'echo term' TERM; echo up; while :; do sleep 0.05; done"
    ended = run(f"({count}) & {count}", tmp_path, limits=Limits(seconds=0.4, grace=0.4))
    assert ended.reason == "timeout"
    assert (ended.output.count("up\n"), ended.output.count("term\n")) == (2, 2)


def test_silence_is_noticed(tmp_path):
    ended = run("echo hi; sleep 300", tmp_path, limits=Limits(idle=0.3))
    assert (ended.reason, ended.output) == ("idle", "hi\n")


def test_dots_are_a_sign_of_life(tmp_path):
    ended = run("for i in 1 2 3 4 5 6 7 8; do printf .; sleep 0.1; done", tmp_path, limits=Limits(idle=0.6))
    assert (ended.reason, ended.code, ended.output) == ("exited", 0, "........")


def test_the_last_line_is_told_now_and_then_without_control_codes(tmp_path):
    told: list[tuple[float, str]] = []
    command = r"""for i in $(seq 1 200); do printf '\033[2K\r\033[31mstep %s\033[0m' $i; sleep 0.005; done"""
    ended = run(command, tmp_path, on_line=lambda line: told.append((time.monotonic(), line)))
    assert ended.last_line == told[-1][1] == "step 200"
    assert all(line.startswith("step ") and line[5:].isdigit() for _, line in told)
    assert 2 <= len(told) <= 2 + ended.seconds * 5
    gaps = [after - before for (before, _), (after, _) in pairwise(told[:-1])]
    assert all(gap >= 0.19 for gap in gaps)


def test_a_listener_that_fails_leaves_nothing_running(tmp_path, mark):
    def fail(_line: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run("setsid sleep 300 & echo hi; sleep 300", tmp_path, env=mark.env, on_line=fail)
    assert mark.left() == []


@pytest.mark.parametrize("lost", [False, True], ids=["told", "lost"])
def test_cancelled_by_word_or_because_nobody_is_there(tmp_path, mark, lost):
    reader, writer = os.pipe()

    def stop(_line: str) -> None:
        if lost:
            os.close(writer)
        else:
            os.write(writer, b"stop")

    started = time.monotonic()
    ended = run(
        "trap '' TERM; echo up; sleep 300; sleep 300",
        tmp_path,
        env=mark.env,
        cancel=reader,
        on_line=stop,
        limits=Limits(grace=30 if lost else 0.2),
    )
    assert (ended.reason, ended.code) == ("cancelled", 137)
    assert time.monotonic() - started < 5
    assert mark.left() == []
    os.close(reader)
    if not lost:
        os.close(writer)


def test_who_was_told_to_stop_hurries_when_nobody_is_there_any_more(tmp_path, mark):
    reader, writer = os.pipe()
    told: list[str] = []

    def stop(line: str) -> None:
        told.append(line)
        if line == "up":
            os.write(writer, b"stop")
        elif line == "deaf":
            os.close(writer)

    deaf = "trap 'echo deaf' TERM; echo up; while :; do sleep 0.05; done 2>/dev/null"
    ended = run(deaf, tmp_path, env=mark.env, cancel=reader, on_line=stop, limits=Limits(grace=30))
    assert (ended.reason, ended.code, told) == ("cancelled", 137, ["up", "deaf"])
    assert ended.seconds < 5
    os.close(reader)


@pytest.mark.parametrize("kind", TREES)
def test_what_a_command_leaves_behind_ends_with_it(tmp_path, mark, kind):
    started = time.monotonic()
    ended = run(f"{TREES[kind]}\necho over", tmp_path, env=mark.env, limits=Limits(seconds=60))
    assert mark.left() == []
    assert (ended.code, ended.reason) == (0, "exited")
    assert "over" in ended.output.splitlines()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("kind", TREES)
def test_a_tree_that_is_stopped_ends_as_a_whole(tmp_path, mark, kind):
    ended = run(f"{TREES[kind]}\necho up; exec sleep 300", tmp_path, env=mark.env,
                limits=Limits(seconds=0.15, grace=0.1))  # fmt: skip
    assert mark.left() == []
    assert (ended.reason, ended.last_line) == ("timeout", "up")
    assert ended.seconds < 5


def test_the_last_words_of_what_is_left_are_still_heard(tmp_path):
    ended = run("(sleep 0.03; echo late) & echo early", tmp_path)
    assert ended.output == "early\nlate\n"


def test_other_children_are_left_alone(tmp_path):
    with subprocess.Popen(["sleep", "300"]) as other:
        run("setsid sleep 300 & true", tmp_path)
        assert other.poll() is None
        other.kill()


def test_children_carry_the_mark_of_their_run(tmp_path, monkeypatch):
    monkeypatch.setenv(process.MARK, "a-run")
    env = {name: value for name, value in ENV.items() if name != process.MARK}
    ended = process.run(["sh", "-c", f"echo ${process.MARK}"], cwd=tmp_path, env=env)
    assert ended.output == "a-run\n"


def test_no_descriptor_is_left_open(tmp_path):
    run(["true"], tmp_path, log=tmp_path / "log")
    before = len(list(Path("/proc/self/fd").iterdir()))
    run("echo hi; setsid sleep 300 &", tmp_path, stdin=b"x", log=tmp_path / "log")
    run(["no-such-command"], tmp_path, stdin=b"x")
    process.capture(["cat"], env=ENV, input=b"x")
    process.capture(["no-such-command"], env=ENV)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class TestCapture:
    def test_keeps_stdout_and_stderr_apart(self, tmp_path):
        argv = ["sh", "-c", "pwd; cat; echo err >&2; exit 5"]
        assert process.capture(argv, cwd=tmp_path, env=ENV, input=b"in") == (
            5,
            f"{tmp_path}\nin".encode(),
            b"err\n",
        )

    def test_takes_any_amount_in_and_out(self):
        data = os.urandom(3_000_000)
        assert process.capture(["cat"], env=ENV, input=data) == (0, data, b"")

    def test_ends_as_timeout_does(self, mark):
        code, out, err = process.capture(
            ["sh", "-c", "echo early; sleep 300; true"], env=ENV | mark.env, timeout=0.2
        )
        assert (code, out, err) == (124, b"early\n", b"sh: stopped after 0.2 s\n")
        assert mark.left(within=1.0) == []

    def test_is_limited_from_outside(self):
        spin = ["sh", "-c", "while :; do :; done"]
        assert (
            process.capture(spin, env=ENV, timeout=20, rlimits={resource.RLIMIT_CPU: 1})[0]
            == 128 + signal.SIGXCPU
        )

    def test_a_program_that_is_not_there(self):
        assert process.capture(["no-such"], env=ENV) == (127, b"", b"no-such: command not found\n")


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("true", ["true"]),
        ("  pytest -q tests/unit  ", ["pytest", "-q", "tests/unit"]),
        ("npm test -- --run 'a b' \"c d\"", ["npm", "test", "--", "--run", "a b", "c d"]),
        ("./gate.sh --level=3 100%", ["./gate.sh", "--level=3", "100%"]),
        (r"printf a\ b", None),
        (r"env a\ b", ["env", "a b"]),
        ("python -m pytest 'unbalanced", None),
        ("", None),
        ("  ", None),
        ("a && b", None),
        ("a | b", None),
        ("a > b", None),
        ("echo $HOME", None),
        ("ls *.py", None),
        ("ls ~", None),
        ("touch {a,b}", None),
        ("A=1 make", None),
        ("cd x", None),
        ("exit 3", None),
        ("! true", None),
        ("a\nb", None),
        ("a # b", None),
        ("test[1]", None),
    ],
)
def test_a_shell_is_used_only_where_one_is_needed(command, argv):
    assert process.shell(command) == (argv or [*process.shell("a | b")[:-1], command])


def test_a_pipeline_fails_when_any_part_of_it_fails(tmp_path):
    assert run(process.shell("exit 3 | true"), tmp_path).code == 3


@pytest.mark.parametrize(
    "words", ["printenv 'a b'", r"/bin/echo a\ b 'c\d' \"e\" 'f'g\"h\"", "/bin/echo \"a\\nb\" ''"]
)
def test_words_reach_a_program_as_through_a_shell(tmp_path, words):
    direct = process.shell(words)
    assert direct[0] == words.split()[0]
    assert run(direct, tmp_path).output == run(["sh", "-c", words], tmp_path).output
