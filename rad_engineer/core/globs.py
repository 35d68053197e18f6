"""Globs as .gitignore has them."""

import re
from functools import lru_cache


def matches(path: str, glob: str) -> bool:
    """Whether a glob as in .gitignore matches: no slash, any depth; `dir/`, all below; `**`, any folders."""
    return _compiled(glob).fullmatch(path) is not None


@lru_cache(maxsize=256)
def _compiled(glob: str) -> re.Pattern[str]:
    text = glob.strip().removeprefix("./")
    anchored = "/" in text.rstrip("/")
    text = text.strip("/")
    pattern, at = "", 0
    while at < len(text):
        rest = text[at:]
        if rest.startswith("**/"):
            pattern, at = f"{pattern}(?:.*/)?", at + 3
        elif rest.startswith("**"):
            pattern, at = f"{pattern}.*", at + 2
        elif text[at] == "*":
            pattern, at = f"{pattern}[^/]*", at + 1
        elif text[at] == "?":
            pattern, at = f"{pattern}[^/]", at + 1
        elif text[at] == "[" and "]" in rest[2:]:
            end = rest.index("]", 2)
            inner = rest[1:end].replace("\\", "\\\\")
            pattern += f"[^{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]"
            at += end + 1
        else:
            pattern, at = pattern + re.escape(text[at]), at + 1
    lead = "" if anchored else "(?:.*/)?"
    return re.compile(f"{lead}{pattern}(?:/.*)?", re.DOTALL)
