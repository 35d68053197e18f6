"""What checks look at: this folder, its repository and settings, this environment. Each part is found once."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer import git, settings
from rad_engineer.delivery import prerequisites
from rad_engineer.delivery.finding import Fix
from rad_engineer.errors import RadError
from rad_engineer.git.repository import Repository
from rad_engineer.launch import ground
from rad_engineer.launch.ground import Ground
from rad_engineer.settings import Settings

if TYPE_CHECKING:
    from rad_engineer.agents.choice import Choice
    from rad_engineer.gateway.credentials import Credentials
    from rad_engineer.launch.models import Access


class Scene:
    """`taken` are the secrets that were in the environment; `offline` forbids every address but this machine's."""

    def __init__(
        self, folder: Path, env: Mapping[str, str], taken: Mapping[str, Any], *, offline: bool
    ) -> None:
        self.folder = folder
        self.env = env
        self.taken = taken
        self.offline = offline

    @cached_property
    def top(self) -> Path:
        """The top of the work tree, else this folder."""
        return ground.work_tree(self.folder) or self.folder

    @cached_property
    def repository(self) -> Repository | RadError:
        """The repository here, or what is wrong with it."""
        try:
            return git.discover(self.top)
        except RadError as error:
            return error

    @cached_property
    def settings(self) -> Settings | RadError:
        """The settings in force, or what is wrong with them."""
        try:
            return settings.load(self.top, {}, self.env)
        except RadError as error:
            return error

    @cached_property
    def wanted(self) -> Settings:
        """The settings in force; the defaults where those cannot be read."""
        return self.settings if isinstance(self.settings, Settings) else settings.load(Path("/"), {}, {})

    @cached_property
    def place(self) -> Ground | None:
        """The place of runs here; None without a repository or settings."""
        found, wanted = self.repository, self.settings
        if isinstance(found, RadError) or isinstance(wanted, RadError):
            return None
        return Ground(found.top, found.home, ground.cache_of(wanted, self.env, found.id), found, wanted)

    @cached_property
    def in_the_way(self) -> str:
        """The check that has to pass before there is a place for runs."""
        if isinstance(self.settings, RadError):
            return "security.settings"
        return "integrations.repository" if self.git.status == "ok" else "integrations.git"

    @cached_property
    def git(self) -> prerequisites.Check:
        """The program."""
        return prerequisites.git_program(self.env)

    @cached_property
    def home(self) -> Path:
        """Where .rad-engineer lies, or would."""
        return self.top if isinstance(self.repository, RadError) else self.repository.home

    def unset(self, origin: str) -> Fix | None:
        """What takes a setting back that came from a variable; one of a file has no such command."""
        return Fix(f"unset {origin}", "shell") if origin in self.env else None

    @cached_property
    def key(self) -> "Credentials | RadError | None":
        """The key for the API, or why it cannot be had."""
        from rad_engineer.gateway import credentials  # noqa: PLC0415 - not every command asks for keys

        try:
            return credentials.find(self.taken, self.env)
        except RadError as error:
            return error

    @cached_property
    def agents(self) -> "tuple[Choice, Access | None] | RadError":
        """Who would work, and how they would ask models; or why nobody can."""
        from rad_engineer.launch import models  # noqa: PLC0415 - not every check asks for agents

        if isinstance(self.settings, RadError):
            return self.settings
        try:
            asked = settings.resolve_agent(self.settings, self.env)
            return models.settle(asked, self.settings, self.taken, self.env)
        except RadError as error:
            return error
