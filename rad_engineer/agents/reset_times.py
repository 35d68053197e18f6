"""When a limit ends, as people and programs write it: an epoch, a duration, a time of day, a date."""

import re
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EPOCH = re.compile(r"(?:\||resets?_?at[\"']?\s*[:=]\s*)(\d{10})(?:\d{3})?\b", re.IGNORECASE)
_SPAN = re.compile(
    r"(?:again|retry|reset[s]?|wait)\s+(?:in|after)\s+((?:\d+(?:\.\d+)?\s*[a-z]+[\s,]*(?:and\s+)?)+)",
    re.IGNORECASE,
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)[a-z]*", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MOMENT = re.compile(
    r"(?:again|resets?)\s+(?:at\s+|on\s+)?"
    r"(?:(?P<month>[a-z]{3})[a-z]*\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?:(?P<year>\d{4}),?\s+)?(?:at\s+)?)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s*(?P<half>[ap]m)?\b(?:\s*\((?P<zone>[\w/+-]+)\))?",
    re.IGNORECASE,
)


def find(text: str, now: datetime) -> float | None:
    """The moment that a message names, as seconds since the epoch; None where it names none.

    `now` is aware of its time zone, and a time of day without one is meant in that.
    """
    if found := _EPOCH.search(text):
        return float(found[1])
    if (found := _SPAN.search(text)) and (seconds := _seconds(found[1])) is not None:
        return now.timestamp() + seconds
    for found in _MOMENT.finditer(text):
        if (moment := _moment(found, now)) is not None:
            return moment
    return None


def _seconds(span: str) -> float | None:
    parts = _PART.findall(span)
    return sum(float(number) * _UNITS[unit.lower()] for number, unit in parts) if parts else None


def _moment(found: re.Match[str], now: datetime) -> float | None:
    """The next moment that fits; None where the numbers are no time of day, or no word says that they are one."""
    if found["half"] is None and found["minute"] is None:
        return None
    local = now.astimezone(_zone(found["zone"], now))
    hour = int(found["hour"])
    if found["half"] is not None:
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    try:
        moment = local.replace(hour=hour, minute=int(found["minute"] or 0), second=0, microsecond=0)
        if found["month"] is None:
            return (moment if moment > local else moment + timedelta(days=1)).timestamp()
        month = _MONTHS.index(found["month"].lower()) + 1
        moment = moment.replace(year=int(found["year"] or local.year), month=month, day=int(found["day"]))
    except ValueError:
        return None
    if found["year"] is None and moment < local:
        moment = moment.replace(year=local.year + 1)
    return moment.timestamp()


def _zone(name: str | None, now: datetime) -> tzinfo | None:
    if name is None:
        return now.tzinfo
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return now.tzinfo
