"""Does what rad-engineer works with answer: git, its remote, a container engine, a collector."""

import os
import shutil
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from rad_engineer import git
from rad_engineer.delivery.finding import Fix, Seen, failed, passed, skipped, warned
from rad_engineer.delivery.scene import Scene
from rad_engineer.errors import RadError
from rad_engineer.process import capture

_SECONDS = 20.0
_ENGINES = ("docker", "podman")
_OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_NOBODY = "<rad-engineer@localhost>"


def git_program(scene: Scene) -> Seen:
    """Git, new enough."""
    found = scene.git
    return passed(found.detail) if found.status == "ok" else failed(found.detail, advice=found.hint)


def repository(scene: Scene) -> Seen:
    """A repository that runs can work on, with a first commit."""
    if scene.git.status != "ok":
        return skipped("git does not work", because="integrations.git")
    found = scene.repository
    if isinstance(found, RadError):
        return failed(str(found), advice=found.hint or "")
    try:
        head = git.head(found)
    except RadError as error:
        return failed(str(error), advice=error.hint or "")
    if found.warnings:
        return warned("; ".join(found.warnings))
    return passed(f"{found.top} at {head[:12]}")


def identity(scene: Scene) -> Seen:
    """Who the author of commits will be."""
    found = scene.repository
    if isinstance(found, RadError):
        return skipped("there is no repository", because=_cause(scene))
    if found.author.endswith(_NOBODY):
        return warned(f"name or mail is not set: commits will be by {found.author}",
                      advice="git config user.name NAME, and git config user.email MAIL")  # fmt: skip
    return passed(found.author)


def remote(scene: Scene) -> Seen:
    """Whether a remote answers, asked as the user would ask it, without a prompt."""
    if isinstance(scene.repository, RadError):
        return skipped("there is no repository", because=_cause(scene))
    env = {
        **scene.env,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=5",
    }
    _, out, _ = capture(["git", "remote"], env=env, cwd=scene.top, timeout=_SECONDS)
    names = out.decode("utf-8", "replace").split()
    if not names:
        return skipped("none is configured: what lands stays on this machine")
    name = "origin" if "origin" in names else names[0]
    if scene.offline:
        return skipped(f"{name} was not asked (--offline)")
    code, _, err = capture(
        ["git", "ls-remote", "--quiet", "--heads", name], env=env, cwd=scene.top, timeout=_SECONDS
    )
    if code == 0:
        return passed(f"{name} answers")
    said = err.decode("utf-8", "replace").strip().splitlines()
    return warned(f"{name} does not answer: {said[0] if said else code}",
                  advice=f"see `git remote get-url {name}`; runs work without it")  # fmt: skip


def engine(scene: Scene) -> Seen:
    """Whether a container engine answers, which only `deploy local` needs."""
    env = dict(scene.env)
    there = [name for name in _ENGINES if shutil.which(name, path=env.get("PATH", os.defpath))]
    if not there:
        return skipped("neither docker nor podman is installed: `deploy local` needs one")
    for name in there:
        field = "{{.Server.Version}}" if name == "docker" else "{{.Client.Version}}"
        code, out, _ = capture([name, "version", "--format", field], env=env, timeout=_SECONDS)
        if code == 0:
            return passed(f"{name} {out.decode('utf-8', 'replace').strip()}")
    return warned(f"{', '.join(there)}: installed, and does not answer",
                  advice="start it; `deploy local` needs it")  # fmt: skip


def collector(scene: Scene) -> Seen:
    """Whether somebody listens where traces are to be sent."""
    url = scene.env.get(_OTLP, "")
    if not url:
        return skipped(f"{_OTLP} is not set: no traces are sent")
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.hostname:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            shown = parts._replace(
                netloc=parts.netloc.rpartition("@")[2]
            ).geturl()  # passwords are nobody's business
            return _connected(scene, shown, parts.hostname, port)
    return warned(f"{_OTLP} is no URL", Fix(f"unset {_OTLP}", "shell"))


def _cause(scene: Scene) -> str:
    return "integrations.repository" if scene.git.status == "ok" else "integrations.git"


def _connected(scene: Scene, url: str, host: str, port: int) -> Seen:
    if scene.offline and host not in _LOOPBACK:
        return skipped(f"{url} was not asked (--offline)")
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except OSError as error:
        return warned(
            f"nobody listens at {url}: {error.strerror or error}",
            advice=f"start the collector, or unset {_OTLP} to send no traces",
        )
    return passed(f"somebody listens at {url}")


def webhook(_scene: Scene) -> Seen:
    """Nobody is told of runs over HTTP by this version."""
    return skipped("this version calls no webhook")


def index(_scene: Scene) -> Seen:
    """No code index is asked by this version."""
    return skipped("this version asks no index service")
