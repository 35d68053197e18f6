"""The value of a setting in its own type: from what a file, a flag or a variable says."""

import json
import math
import re
from typing import Any

from rad_engineer.settings_schema import Setting

_PRICES = frozenset({"input", "output", "cache_read", "cache_write", "cache_write_1h", "web_search", "fast"})
_LEAST_USD = 0.000001
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_YES = frozenset({"1", "true", "yes", "on", "y"})
_NO = frozenset({"0", "false", "no", "off", "n", ""})


class BadValue(ValueError):
    """A value does not fit its setting; the message says what was expected."""


def seconds(text: str) -> float:
    """A time such as 90s, 15m, 2h, 7d, 1h30m or plain seconds, in seconds; raises BadValue."""
    plain = "".join(text.lower().split())
    try:
        value = float(plain)
    except ValueError:
        parts = _TIME.findall(plain)
        if not parts or "".join(number + unit for number, unit in parts) != plain:
            raise BadValue(f"`{text}` is not a time; write 90s, 15m, 2h or 7d") from None
        value = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not math.isfinite(value) or value < 0:
        raise BadValue(f"`{text}` is not a time; write 90s, 15m, 2h or 7d")
    return value


def time_text(value: float) -> str:
    """Seconds in the way `seconds` reads them: 2h, 15m, 90s."""
    for unit in ("d", "h", "m"):
        if value >= _UNITS[unit] and value % _UNITS[unit] == 0:
            return f"{int(value // _UNITS[unit])}{unit}"
    return f"{value:g}s"


def toml_text(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        inner = ", ".join(f"{toml_key(name)} = {toml_text(item)}" for name, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_text, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)


def toml_key(name: str) -> str:
    """A key as TOML writes it: bare where it can be."""
    return name if _BARE.fullmatch(name) else toml_text(name)


def parse(setting: Setting, value: Any, *, written: bool) -> Any:
    """The value in its own type; raises BadValue with what was expected.

    `written` says that the value is text by nature (a flag, a variable), so "4" may stand for 4.
    """
    if setting.kind in ("text", "choice", "chain"):
        return _chain(setting, value) if setting.kind == "chain" else _text(setting, value)
    if setting.kind == "switch":
        return _switch(value, written=written)
    if setting.kind == "jobs" and value == "auto":
        return "auto"
    if setting.kind in ("count", "jobs"):
        return _count(setting, value, written=written)
    if setting.kind in ("duration", "span"):
        return _duration(setting, value)
    if setting.kind == "money":
        return _money(value)
    if setting.kind == "texts":
        return _texts(value, written=written)
    return _table(setting, value)


def _table(setting: Setting, value: Any) -> Any:
    if setting.kind == "commands":
        return _commands(setting, value)
    if setting.kind == "policy":
        return _policy(value)
    return _prices(value) if setting.kind == "prices" else _rates(value)


def _policy(value: Any) -> dict[str, Any]:
    from rad_engineer.core import policy  # noqa: PLC0415  # 10 ms that a project without one need not pay

    if not isinstance(value, dict):
        raise BadValue(f"expected a table, found {_shown(value)}")
    policy.read(value)
    return value


def _text(setting: Setting, value: Any) -> str | None:
    if not isinstance(value, str):
        raise BadValue(f"expected text, found {_shown(value)}")
    if setting.choices and value not in setting.choices:
        raise BadValue(f"`{value}` is none of {', '.join(setting.choices)}")
    return value.strip() or None


def _chain(setting: Setting, value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = ",".join(value)
    if not isinstance(value, str):
        raise BadValue(f"expected text, found {_shown(value)}")
    names = [name.strip() for name in value.split(",") if name.strip()]
    for name in names:
        if name not in setting.choices:
            raise BadValue(f"`{name}` is none of {', '.join(setting.choices)}")
    return ",".join(dict.fromkeys(names)) or None


def _switch(value: Any, *, written: bool) -> bool:
    if isinstance(value, bool):
        return value
    if written and isinstance(value, str):
        plain = value.strip().lower()
        if plain in _YES or plain in _NO:
            return plain in _YES
    raise BadValue(f"expected true or false, found {_shown(value)}")


def _count(setting: Setting, value: Any, *, written: bool) -> int:
    if written and isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value)
    expected = "a whole number" + (" or auto" if setting.kind == "jobs" else "")
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadValue(f"expected {expected}, found {_shown(value)}")
    if not setting.least <= value <= 10**9:
        raise BadValue(f"expected {expected}, at least {setting.least}, found {value}")
    return value


def _duration(setting: Setting, value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadValue(f"expected a time such as 90s or 15m, found {_shown(value)}")
    if setting.kind == "duration" and isinstance(value, str) and value.strip().lower() in ("none", "off"):
        return None
    found = seconds(str(value))
    if setting.kind == "duration":
        return found or None
    return found


def _money(value: Any) -> float:
    """US dollars; none is no limit, kept as 0. Who says 0 means nothing at all, or everything: nobody can know.

    A million is more than anybody means.
    """
    if isinstance(value, str) and value.strip().lower() in ("none", "off"):
        return 0.0
    try:
        found = math.nan if isinstance(value, bool) else float(str(value).strip().removeprefix("$"))
    except ValueError:
        found = math.nan
    if 0 <= found < _LEAST_USD:
        raise BadValue(
            f"{_shown(value)} is no budget: say none for no limit; with --offline nothing is spent"
        )
    if not _LEAST_USD <= found <= 1_000_000:
        raise BadValue(f"expected US dollars such as 10 or 0.50, or none, found {_shown(value)}")
    return found


def _prices(value: Any) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict):
        raise BadValue(f"expected a table MODEL = {{ input = 2.0, output = 10.0 }}, found {_shown(value)}")
    found = {}
    for model, price in value.items():
        parts = price if isinstance(price, dict) else {}
        known = parts.keys() <= _PRICES and {"input", "output"} <= parts.keys()
        if not known or not all(_is_price(part) for part in parts.values()):
            listed = ", ".join(sorted(_PRICES))
            raise BadValue(f"model `{model}`: expected input and output, of {listed}; found {_shown(price)}")
        found[model] = {name: float(part) for name, part in parts.items()}
    return found


def _rates(value: Any) -> dict[str, dict[str, int]]:
    if not isinstance(value, dict):
        raise BadValue(f"expected a table NAME = {{ requests = 60, tokens = 100000 }}, found {_shown(value)}")
    for name, rate in value.items():
        parts = rate if isinstance(rate, dict) else {}
        known = parts and parts.keys() <= {"requests", "tokens"}
        if not known or not all(type(part) is int and part > 0 for part in parts.values()):
            raise BadValue(f"`{name}`: expected requests or tokens, whole numbers; found {_shown(rate)}")
    return {name: dict(rate) for name, rate in value.items()}


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _texts(value: Any, *, written: bool) -> tuple[str, ...]:
    if written and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise BadValue(f"expected a list of texts, found {_shown(value)}")
    return tuple(value)


def _commands(setting: Setting, value: Any) -> dict[str, str]:
    what, kind = ("path.md", "role") if setting.name == "roles" else ("command", "gate")
    if not isinstance(value, dict):
        raise BadValue(f'expected a table of NAME = "{what}", found {_shown(value)}')
    for name, command in value.items():
        if not isinstance(command, str) or not command.strip():
            raise BadValue(f"{kind} `{name}`: expected a {what}, found {_shown(command)}")
    return dict(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return f"`{value}`" if isinstance(value, str) else str(value)
