"""A certificate is worth something as long as every byte, its signer, the installation and its age are what they were."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rad_engineer.delivery import certificate, signing, smoke
from rad_engineer.errors import CannotWrite, NoInput
from tests.conftest import ROOT, Project
from tests.required import needs

RESULTS = [smoke.Result(name, "PASS", "as it should be", 1.5) for name in smoke.TESTS]


def user(folder: Path, *, path: str | None = None) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    return {
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "PATH": os.environ["PATH"] if path is None else path,
    }


@pytest.fixture
def ada(tmp_path: Path) -> dict[str, str]:
    needs("ssh-keygen", shutil.which("ssh-keygen"))
    return user(tmp_path / "ada")


def written(folder: Path, data: bytes) -> Path:
    (folder / "readiness.json").write_bytes(data)
    return folder / "readiness.json"


def answer(file: Path, env: dict[str, str], *signers: str, days: int = 30) -> str:
    return certificate.check(file, env, signers=signers, max_age_days=days).answer


def test_as_it_was_made_it_is_valid(tmp_path, ada):
    file = written(tmp_path, certificate.make(RESULTS, ada))
    assert answer(file, ada) == "valid"
    body = json.loads(file.read_bytes())["certificate"]
    assert [check["status"] for check in body["checks"]] == ["PASS"] * 4
    assert body["installed"]["version"]
    assert len(body["installed"]["sha256"]) == 64
    assert (signing.key_path(ada).stat().st_mode & 0o777) == 0o600


def test_no_byte_can_be_another_one(tmp_path, ada):
    data = certificate.make(RESULTS, ada)
    file = written(tmp_path, data)
    found = set()
    for at in range(0, len(data), 1 if "RAD_READINESS" in os.environ else 29):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        found.add(answer(file, ada))
    for other in (data + b"\n", data[:-1], data.replace(b"\n ", b"\n\t", 1), b"", b"[]"):
        file.write_bytes(other)
        found.add(answer(file, ada))
    assert found == {"changed"}


def test_another_key_is_nobody_we_know_until_we_are_told(tmp_path, ada):
    grace = user(tmp_path / "grace")
    file = written(tmp_path, certificate.make(RESULTS, grace))
    assert answer(file, ada) == "unknown signer"
    (tmp_path / "signers").write_text(f"# of the team\ngrace@example.org {signing.public_key(grace)} grace\n")
    assert answer(file, ada, *certificate.read_signers(tmp_path / "signers")) == "valid"
    public = signing.key_path(grace).with_suffix(".pub")
    assert answer(file, ada, *certificate.read_signers(public)) == "valid"


def test_a_key_put_into_the_file_of_somebody_else_does_not_fit(tmp_path, ada):
    grace = user(tmp_path / "grace")
    document = json.loads(certificate.make(RESULTS, grace))
    certificate.make(RESULTS, ada)
    document["signature"]["key"] = signing.public_key(ada)
    assert answer(written(tmp_path, certificate._bytes(document)), ada) == "changed"


def signed(env: dict[str, str], **changed: object) -> bytes:
    """A certificate that says something else, signed as it should be."""
    document = json.loads(certificate.make(RESULTS, env))
    document["certificate"].update(changed)
    document["signature"]["value"] = signing.sign(certificate._bytes(document["certificate"]), env)[1]
    return certificate._bytes(document)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"installed": {"version": "0.0.1", "files": 3, "sha256": "0" * 64}}, "another version"),
        ({"installed": {**certificate.installed(), "sha256": "0" * 64}}, "another version"),
        ({"made_at": 1_000_000_000}, "too old"),
        ({"result": "NOT ALL PASS"}, "not passed"),
    ],
)
def test_what_is_as_it_was_written_can_still_be_past(tmp_path, ada, changed, said):
    assert answer(written(tmp_path, signed(ada, **changed)), ada) == said


def test_without_anything_that_signs_it_is_called_unsigned(tmp_path, monkeypatch):
    nobody = user(tmp_path / "nobody", path=str(tmp_path / "empty"))
    monkeypatch.setattr(signing, "find_spec", lambda _name: None)
    file = written(tmp_path, certificate.make(RESULTS, nobody))
    assert json.loads(file.read_bytes())["signature"] is None
    assert answer(file, nobody) == "unsigned"


def test_what_either_of_both_has_signed_the_other_one_can_check(tmp_path, ada):
    """With ssh-keygen, and with the extra alone."""
    without = {**ada, "PATH": str(tmp_path / "empty")}
    for signer, checker in ((ada, without), (without, ada), (without, without)):
        key, signature = signing.sign(b"data", signer)
        assert signing.verifies(b"data", key, signature, checker)
        assert not signing.verifies(b"Data", key, signature, checker)
        assert not signing.verifies(b"data", key, signature[:100] + "A" + signature[101:], checker)
    fresh = user(tmp_path / "fresh", path=str(tmp_path / "empty"))
    key, signature = signing.sign(b"data", fresh)  # also makes the key
    assert signing.verifies(b"data", key, signature, ada)


def test_the_command_tells_each_apart_and_ends_with_1(project: Project):
    needs("ssh-keygen", shutil.which("ssh-keygen"))
    mine = {**os.environ, **project.env}
    data = certificate.make(RESULTS, mine)
    file = project.folder / "readiness.json"
    cases = {
        "valid": data,
        "changed": data.replace(b"ALL PASS", b"ALL PASs", 1),
        "another version": signed(mine, installed={"version": "0.0.1", "files": 3, "sha256": "0" * 64}),
        "too old": signed(mine, made_at=1_000_000_000),
    }
    for said, content in cases.items():
        file.write_bytes(content)
        ran = project.rad("test", "--verify", "readiness.json")
        assert (ran.code, ran.out.startswith(f"readiness.json: {said}: ")) == (
            0 if said == "valid" else 1,
            True,
        ), ran
    grace = user(project.folder.parent / "grace")
    file.write_bytes(certificate.make(RESULTS, grace))
    assert project.rad("test", "--verify", "readiness.json").out.startswith(
        "readiness.json: unknown signer: "
    )
    public = signing.key_path(grace).with_suffix(".pub")
    assert project.rad("test", "--verify", "readiness.json", "--signers", str(public)).code == 0
    assert project.rad("test", "--verify", "nothing.json").code == 66
    assert project.rad("test").code == 2


def test_an_upgraded_tool_is_another_version(tmp_path, ada):
    """The package is copied, one file of it is changed, and the copy is asked."""
    file = written(tmp_path, certificate.make(RESULTS, ada))
    shutil.copytree(
        ROOT / "rad_engineer", tmp_path / "new" / "rad_engineer", ignore=shutil.ignore_patterns("__pycache__")
    )
    env = {**ada, "PYTHONPATH": str(tmp_path / "new")}

    def asked() -> tuple[int, str]:
        argv = [shutil.which("python3") or "", "-P", "-m", "rad_engineer", "test", "--verify", str(file)]
        ended = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout + ended.stderr

    assert asked()[0] == 0
    with (tmp_path / "new" / "rad_engineer" / "errors.py").open("a") as opened:
        opened.write("# upgraded\n")
    code, told = asked()
    assert (code, "another version: the files of" in told) == (1, True), told


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "giant"])
def test_what_can_be_no_certificate_is_not_read(tmp_path, kind):
    path = tmp_path / "odd"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 5 << 30)
    why = "larger than 1000000 bytes" if kind == "giant" else "no regular file"
    with pytest.raises(NoInput, match=f"odd: {why}") as refused:
        certificate.check(path, user(tmp_path / "ada"), signers=(), max_age_days=1)
    assert refused.value.hint == "make one: rad-engineer test --smoke"
    with pytest.raises(NoInput, match=f"odd: cannot be read: {why}"):
        certificate.read_signers(path)


def test_half_a_key_is_not_left_behind(ada):
    public = signing.key_path(ada).with_suffix(".pub")
    public.mkdir(parents=True)
    with pytest.raises(CannotWrite):
        signing.sign(b"data", ada)
    assert not signing.key_path(ada).exists()
    public.rmdir()
    key, signature = signing.sign(b"data", ada)
    assert signing.verifies(b"data", key, signature, ada)
