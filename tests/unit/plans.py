"""Makes small PRDs for tests."""

from typing import Any

from rad_engineer.core.prd import Prd, Story, Wave


def story(name: str, *needs: str, wave: int | tuple[str, int] | None = None, **more: Any) -> Story:
    declared = None
    if wave is not None:
        declared = Wave("", wave) if isinstance(wave, int) else Wave(*wave)
    return Story(id=name, title=more.pop("title", f"Title of {name}"), needs=needs, wave=declared, **more)


def prd(*stories: Story, file: str = "prd.json", **more: Any) -> Prd:
    return Prd(
        file=file,
        path=more.pop("path", f"/repo/{file}"),
        format="json",
        container=".userStories",
        name=more.pop("name", file),
        project=more.pop("project", ""),
        stories=stories,
        text="",
        **more,
    )
