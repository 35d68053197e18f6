"""Real repositories for tests, made with an ordinary git that nothing of the tester's configuration reaches."""

import hashlib
import os
import stat
import subprocess
from pathlib import Path

from rad_engineer.git import objects

CLEAN = {
    "PATH": os.environ.get("PATH", os.defpath),
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Uma User",
    "GIT_AUTHOR_EMAIL": "uma@example.org",
    "GIT_COMMITTER_NAME": "Uma User",
    "GIT_COMMITTER_EMAIL": "uma@example.org",
    "LC_ALL": "C",
}
POISON = {
    "GIT_DIR": "/nonexistent/dir",
    "GIT_WORK_TREE": "/nonexistent/tree",
    "GIT_INDEX_FILE": "/nonexistent/index",
    "GIT_OBJECT_DIRECTORY": "/nonexistent/objects",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.worktree",
    "GIT_CONFIG_VALUE_0": "/nonexistent",
    "GIT_AUTHOR_NAME": "Nobody Real",
    "GIT_NAMESPACE": "elsewhere",
    "GIT_CEILING_DIRECTORIES": "/",
    "GIT_LITERAL_PATHSPECS": "1",
    "LANG": "C",
}


def poison(monkeypatch):
    """Surrounds the test with what a user's environment may hold and git must not listen to."""
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in POISON.items():
        monkeypatch.setenv(name, value)


def git(where, *arguments, data=None, check=True):
    """Runs git as the user would, and returns what it printed."""
    done = subprocess.run(
        ["git", *arguments], cwd=where, env=CLEAN, input=data, capture_output=True, check=False
    )
    if check and done.returncode != 0:
        raise AssertionError(f"git {' '.join(arguments)}: {done.stderr.decode('utf-8', 'replace')}")
    return os.fsdecode(done.stdout).strip()


def make_repo(top, files=None, *, object_format="sha1"):
    """A repository with one commit on main."""
    top.mkdir(parents=True)
    git(top, "init", "-q", "-b", "main", f"--object-format={object_format}")
    git(top, "config", "user.name", "Uma User")
    git(top, "config", "user.email", "uma@example.org")
    for name, content in (files or STANDARD).items():
        write(top / name, content)
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "base")
    return top


STANDARD = {
    "README.md": "hello\n",
    "src/app.py": "print('app')\n",
    "src/deep/er/leaf.py": "leaf = 1\n",
    "run.sh": "#!/bin/sh\n",
    ".gitignore": "*.log\n__pycache__/\nbuild/\n.env\n",
}


def write(path, content):
    """Writes a file, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def commit_all(top, message="more"):
    """Commits everything as the user."""
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", message)
    return git(top, "rev-parse", "HEAD")


def tree_of(repo, revision):
    """Path -> (mode, hash) of every file of a commit, git links left out."""
    found = {}
    for line in git(repo, "ls-tree", "-r", "-z", revision).split("\0"):
        if line:
            about, _, path = line.partition("\t")
            mode, kind, name = about.split(" ")
            if kind == "blob":
                found[path] = (mode, name)
    return found


def on_disk(top, *, algorithm="sha1", ignore=(".git",)):
    """The same of a folder, computed without git; what cannot be in a tree is told by its type."""
    found = {}
    for folder, names, files in os.walk(top):
        inside = os.path.relpath(folder, top)
        if inside == ".":
            names[:] = [name for name in names if name not in ignore]
        kept = [name for name in files if inside != "." or name not in ignore]
        for name in [*kept, *(each for each in names if Path(folder, each).is_symlink())]:
            path = Path(folder, name)
            key = os.path.normpath(f"{inside}/{name}")
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found[key] = ("120000", blob(os.fsencode(path.readlink()), algorithm))
            elif stat.S_ISREG(mode):
                kind = "100755" if mode & 0o100 else "100644"
                found[key] = (kind, blob(path.read_bytes(), algorithm))
            else:
                found[key] = ("special", oct(mode))
    return found


def blob(content, algorithm="sha1"):
    """The name git gives to a content."""
    return hashlib.new(algorithm, b"blob %d\0" % len(content) + content).hexdigest()


def commit_of(repo, tree, parent, message, author):
    """A commit written as landings write theirs."""
    return objects.write(
        repo.objects, repo.object_format, "commit", objects.commit(tree, parent, message, author)
    )
