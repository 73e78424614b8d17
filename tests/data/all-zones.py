#!/usr/bin/env python3
"""Works out the due slots of every zone of a tz database by brute force per minute: the answers of tests/it/slots.rs.

    all-zones.py ZONEINFO_FOLDER > all-zones-VERSION.jsonl

Shares nothing with src/schedule: the wall clock of every minute of the years is written down (Python's zoneinfo), and each slot is looked for in it.
A calendar slot is due at the first minute whose wall clock shows its time or later (a running maximum), an interval slot at every minute that
shows a matching one. Needs numpy.
"""
import datetime as dt
import hashlib
import json
import os
import sys
import zoneinfo

import numpy as np

FROM, TO = 28401120, 32083200  # minutes since 1970: 2024-01-01 to 2031-01-01
MARGIN = 4 * 1440
SCHEDULES = [
    "15min:7", "30min:13", "hourly:37", "daily:02:30", "daily:00:05", "daily:03:59", "daily:23:47", "weekly:6:01:59", "weekly:2:00:31",
    "monthly:31:02:11", "monthly:1:00:00", "monthly:last:23:30", "cron:*/20 1-3 * * *", "cron:5 0,2 28-31 * 0", "cron:17 */3 * 3,10,11 *",
    "cron:0,59 23 * * sat",
]


def offsets(zone):
    """Minutes east of UTC for every minute; changes are looked for in every hour and then minute by minute."""
    start, end = FROM - MARGIN, TO + MARGIN
    at = lambda minute: zone.utcoffset(dt.datetime.fromtimestamp(minute * 60, dt.timezone.utc).astimezone(zone)).total_seconds() / 60
    out = np.empty(end - start, dtype=np.int64)
    before = at(start)
    for hour in range(start, end, 60):
        last = min(hour + 60, end)
        after = at(last)
        if after == before:
            out[hour - start:last - start] = before
        else:
            for minute in range(hour, last):
                out[minute - start] = at(minute)
        before = after
    return start, out


def day_fields(first_day, days):
    dates = [dt.date(1970, 1, 1) + dt.timedelta(days=int(first_day + n)) for n in range(days)]
    last = [(date + dt.timedelta(days=1)).day == 1 for date in dates]
    return (np.array([date.day for date in dates]), np.array([date.month for date in dates]), np.array([date.weekday() for date in dates]), np.array(last))


def field(text, low, high, names=()):
    found = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        if span == "*":
            a, b = low, high
        else:
            a, _, b = span.partition("-")
            number = lambda word: names.index(word) if word in names else int(word)
            a, b = number(a), number(b or a)
        found |= set(range(a, b + 1, int(step or 1)))
    return found


def due(schedule, start, local):
    """Minutes since 1970 at which the schedule is due."""
    kind, _, rest = schedule.partition(":")
    low_day, high_day = local[0] // 1440 + 1, local[-1] // 1440 - 1
    days = int(high_day - low_day)
    day, month, weekday, last = day_fields(low_day, days)
    every_pass = kind in ("15min", "30min", "hourly")
    on = np.ones(days, dtype=bool)
    if every_pass:
        step = {"15min": 15, "30min": 30, "hourly": 60}[kind]
        times = [hour * 60 + minute for hour in range(24) for minute in range(int(rest), 60, step)]
    elif kind == "cron":
        minutes, hours, dom, months, dow = rest.split()
        times = sorted(hour * 60 + minute for hour in field(hours, 0, 23) for minute in field(minutes, 0, 59))
        names = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
        is_day = np.isin(day, list(field(dom, 1, 31)))
        is_weekday = np.isin((weekday + 1) % 7, [n % 7 for n in field(dow, 0, 7, names)])
        on = (is_day & is_weekday) if dom[0] == "*" or dow[0] == "*" else (is_day | is_weekday)
        on &= np.isin(month, list(field(months, 1, 12)))
        every_pass = hours[0] == "*"
    else:
        *which, hour, minute = rest.split(":")
        times = [int(hour) * 60 + int(minute)]
        if kind == "weekly":
            on = weekday == int(which[0])
        elif kind == "monthly" and which[0] == "last":
            on = last
        elif kind == "monthly":
            on = (day == int(which[0])) | (last & (day < int(which[0])))
    nominal = (np.nonzero(on)[0][:, None] + low_day) * 1440 + np.array(times)[None, :]
    if every_pass:
        found = np.nonzero(np.isin(local, nominal.ravel()))[0] + start
    else:
        exists = np.isin(nominal[:, 0] // 1440, local // 1440)
        found = np.searchsorted(np.maximum.accumulate(local), nominal[exists].ravel()) + start
    return np.unique(found[(found >= FROM) & (found < TO)])


def answer(path, name):
    with open(path, "rb") as file:
        start, offset = offsets(zoneinfo.ZoneInfo.from_file(file))
    local = np.arange(start, start + len(offset)) + offset
    shift = np.nonzero(np.diff(offset))[0] + start + 1
    shift = shift[(shift > FROM - 1560) & (shift < TO + 1560)]
    lines = []
    for schedule in SCHEDULES:
        instants = due(schedule, start, local)
        # Interval kinds are hashed where clocks change only; elsewhere their number tells.
        odd = np.zeros(len(instants), dtype=bool)
        for change in shift:
            odd |= np.abs(instants - change) <= 1560
        hashed = instants[odd] if len(instants) > 20000 else instants
        text = "".join(f"{int(minute) * 60}\n" for minute in hashed)
        lines.append([len(instants), hashlib.sha256(text.encode()).hexdigest()[:16]])
    return {"zones": [name], "changes": [int(c) * 60 for c in shift], "answers": lines}


def main(folder):
    with open(os.path.join(folder, "tzdata.zi")) as file:
        version = file.readline().split()[-1]
    print(json.dumps({"tzdata": version, "from": FROM * 60, "to": TO * 60, "schedules": SCHEDULES, "margin": 1560 * 60, "hash": "first 16 hex digits of sha256 over the decimal epoch seconds, each followed by \\n; above 20,000 instants only those within the margin of a change"}))
    seen = {}
    for name in sorted(zoneinfo_names(folder)):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            content = file.read()
        if content in seen:
            seen[content]["zones"].append(name)
        else:
            seen[content] = answer(path, name)
    for line in seen.values():
        print(json.dumps(line, separators=(",", ":")))


def zoneinfo_names(folder):
    for root, _, files in os.walk(folder):
        for file in files:
            path = os.path.join(root, file)
            name = os.path.relpath(path, folder)
            with open(path, "rb") as opened:
                if opened.read(4) == b"TZif" and not name.startswith(("posix/", "right/")) and name not in ("localtime", "posixrules", "Factory"):
                    yield name


if __name__ == "__main__":
    main(sys.argv[1])
