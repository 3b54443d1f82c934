"""What a row of the comparison is: a function that loads one server, what it is about, and the goals that its figures have.

A row gets a `Load` (see load.py) and the kind of server: `flumen`, `kafka`, or one of its floors. Figures are named with their unit;
of all of them less is better, unless the name ends in `/s`.
"""
import os
import statistics
from fractions import Fraction

ROWS = {}
KINDS = ("flumen", "kafka")
TITLES = {"flumen": "Flumen", "kafka": "Apache Kafka", "floor": "floor", "echo-epoll": "echo on epoll", "echo-glommio": "echo on glommio",
          "echo-paced": "echo on glommio, paced"}


class Row:
    def __init__(self, function, about, goals, floors, own, follows, within, share_of):
        self.name = function.__name__.replace("_", "-")
        self.function, self.about, self.goals = function, about, goals
        # What else is shown in its table: the kinds of its floors.
        self.floors = floors
        # Whether it starts and stops the broker itself.
        self.own = own
        # Whether its floors run at the rate at which Flumen ran in the same round, and so after it.
        self.follows = follows
        # Whether the brokers' turns measure the floor too, because it needs what they leave behind.
        self.within = within
        # What of Apache Kafka's its rate is a share of: `capacity` or `cluster capacity`.
        self.share_of = share_of

    def floors_to_run(self):
        return () if self.within else self.floors


def row(about, goals=(), floors=(), own=False, follows=False, within=False, share_of=None):
    def register(function):
        made = Row(function, about, goals, floors, own, follows, within, share_of)
        ROWS[made.name] = made
        return function
    return register


class Limit:
    """`factor` times a figure of another kind (of the same name, unless one is given), and `plus`; or just `plus`."""

    def __init__(self, factor=0, kind=None, plus=0, figure=None):
        self.factor, self.kind, self.plus, self.figure = factor, kind, plus, figure

    def __str__(self):
        if self.kind is None:
            return f"{self.plus:g}"
        of = TITLES[self.kind] if self.figure is None else f"“{self.figure}”"
        text = of if self.factor == 1 else f"{Fraction(self.factor).limit_denominator(20) if self.factor < 1 else self.factor} × {of}"
        return text + (f" + {self.plus:g}" if self.plus else "")

    def value(self, figures, name):
        if self.kind is None:
            return self.plus
        found = median(figures, self.kind, self.figure or name)
        return None if found is None else self.factor * found + self.plus


class Goal:
    """What the issue asks of one figure; of several limits the one that asks for less counts."""

    def __init__(self, figure, sign, limits):
        self.figure, self.sign, self.limits = figure, sign, limits

    def __str__(self):
        texts = [str(limit) for limit in self.limits]
        return f"{self.figure} {self.sign} " + (texts[0] if len(texts) == 1 else "the larger of " + " and ".join(texts))

    def judge(self, figures):
        """Flumen's figure, the limit, and whether it is kept; `None` for what this run has not measured."""
        value = median(figures, "flumen", self.figure)
        limits = [found for found in (limit.value(figures, self.figure) for limit in self.limits) if found is not None]
        if value is None or len(limits) < len(self.limits):
            return value, None, None
        if self.sign == "≤":
            return value, max(limits), value <= max(limits)
        return value, min(limits), value >= min(limits)


def at_most(figure, *limits):
    return Goal(figure, "≤", limits)


def at_least(figure, *limits):
    return Goal(figure, "≥", limits)


def times(factor, kind, plus=0, figure=None):
    return Limit(factor, kind, plus, figure)


def fixed(value):
    return Limit(plus=value)


def median(figures, kind, name):
    """`figures[kind]` is a list of one dictionary of figures a round."""
    values = [one[name] for one in figures.get(kind, []) if name in one]
    return statistics.median(values) if values else None


def cpu(result):
    used = result["broker"]["cpu_seconds"]
    return used["user"] + used["system"]


def costs(result):
    """CPU of the server for what it moved, and how much that was."""
    requests = result["produced"]["requests"] + result["consumed"]["requests"]
    records = result["produced"]["records"] + result["consumed"]["records"]
    gigabytes = (result["produced"]["bytes"] + result["consumed"]["bytes"]) / 1e9
    own = result["own_cpu_seconds"]
    if not requests or not gigabytes:
        raise RuntimeError("nothing was answered in the measured time")
    found = {
        "CPU s/GB": cpu(result) / gigabytes, "CPU µs/request": cpu(result) * 1e6 / requests, "MB/s": gigabytes * 1e3 / result["seconds"],
        "requests/s": requests / result["seconds"], "generator CPU %": 100 * (own["user"] + own["system"]) / result["seconds"],
    }
    if records:
        found["CPU µs/record"] = cpu(result) * 1e6 / records
        found["records/s"] = records / result["seconds"]
    return found


def latencies(result, metric, shown=None, names=("p50", "p99", "p99.9", "max")):
    """And what the hypervisor took of both processors meanwhile, which no latency can be told from."""
    found = result["latency_us"][metric]
    stolen = {"stolen ms": result["stolen_seconds"] * 1e3} if result.get("stolen_seconds") is not None else {}
    return {f"{shown or metric} {name} µs": found[name.replace(".", "_")] for name in names} | stolen


def only(figures, *names):
    return {name: figures[name] for name in names if name in figures}


def labelled(label, figures):
    return {f"{label}: {name}": value for name, value in figures.items()}


def process_cpu(pid):
    """CPU seconds of a process, in steps of 10 ms."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    """Resident memory of a process in bytes."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
