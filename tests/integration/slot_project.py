"""A repository with a pool of slots over it, as a worker has them."""

from project_repo import make_repo, on_disk, tree_of

from rad_engineer import git as rad_git
from rad_engineer.slots.pool import Pool


class Project:
    """A repository, a pool over it, and what a worker does with both."""

    def __init__(self, tmp_path, **options):
        self.top = make_repo(tmp_path / "project", **options)
        self.tmp = tmp_path
        self.open()

    def open(self, **settings):
        self.repo = rad_git.discover(self.top)
        self.base = rad_git.head(self.repo)
        self.pool = Pool(self.repo, self.tmp / "cache", "run1", **settings)
        self.slot = self.pool.slot("slot", 1)

    def move(self, target=None, **options):
        self.pool.move(self.slot, target or self.base, target or self.base, **options)

    def stage(self, base=None, name="q", **options):
        return self.pool.stage(self.slot, base or self.base, self.tmp / "run" / name, **options)

    def land(self, parent, name="q"):
        staged = self.pool.stage(self.slot, parent, self.tmp / "run" / name)
        assert staged.problem is None, staged
        commit = self.pool.commit(
            staged, parent, f"story\n\nRad-Run: run1\nRad-Story: {name}\n", self.tmp / "run" / name
        )
        self.pool.adopt(self.tmp / "run" / name)
        self.pool.keep_ref(f"refs/rad/run1/{name}", commit)
        return commit

    def clean(self, target=None):
        algorithm = "sha256" if self.repo.object_format == "sha256" else "sha1"
        assert on_disk(self.slot.path, algorithm=algorithm) == tree_of(self.top, target or self.base)
