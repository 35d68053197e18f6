"""Diffs for tests: files before and after, and what git would say of them."""

import difflib

from rad_engineer.core import diff


def patch(path, before, after, context=0, mode="100644"):
    """The patch of one file; None stands for no file."""
    old, new = ("" if text is None else text for text in (before, after))
    lines = list(
        difflib.unified_diff(
            old.splitlines(), new.splitlines(), f"a/{path}", f"b/{path}", "", "", context, ""
        )
    )
    head = [f"diff --git a/{path} b/{path}"]
    if before is None:
        head.append(f"new file mode {mode}")
        lines[:1] = ["--- /dev/null"] if lines else []
    elif after is None:
        head.append(f"deleted file mode {mode}")
        lines[1:2] = ["+++ /dev/null"] if lines else []
    return "\n".join([*head, f"index {'0' * 40}..{'1' * 40}", *lines, ""])


def changes(*files, **more):
    """The parsed patch of (path, before, after)."""
    return diff.parse("".join(patch(*file, **more) for file in files).encode())
