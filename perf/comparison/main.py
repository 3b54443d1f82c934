"""Builds, runs the rounds in random order, and writes the directory of the run."""
import argparse
import copy
import datetime
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import report, servers
from .load import Load
from .rows import KINDS, ROWS, capacity, cluster_capacity

ROOT = servers.ROOT
# Where `tests/run tools` installs Apache Kafka and librdkafka.
TOOLS = ROOT / "target" / "tools"
WARM_SECONDS = 60
MEASURE_SECONDS = 6
QUICK_SECONDS = 2


class Place:
    """Where programs, data and cores are."""

    def __init__(self, arguments, scratch, release):
        self.scratch = scratch
        self.data = scratch / "data"
        self.flumen, self.generator = release / "flumen", release / "flumen-bench"
        self.kafka_tools = Path(arguments.kafka_tools)
        self.server_cores, self.load_cores = arguments.server_cores, arguments.load_cores
        self.quick, self.long = arguments.quick, arguments.long
        # A closed loop fills disks; both brokers keep no more than this of a topic.
        self.topic_configs = ("retention.bytes=268435456", "segment.bytes=134217728", "file.delete.delay.ms=1000")

    def on_all_cores(self):
        """The same with the servers on the generator's cores too."""
        other = copy.copy(self)
        other.server_cores = f"{self.server_cores},{self.load_cores}"
        return other


def cores():
    """The server's half of the processors, and the generator's."""
    mine = sorted(os.sched_getaffinity(0))
    half = max(1, len(mine) // 2)
    return ",".join(map(str, mine[:half])), ",".join(map(str, mine[half:] or mine))


def pin(cores):
    """Keeps this process, and what it starts without a place of its own, on processors such as `1,3-5`."""
    ends = [part.split("-") for part in cores.split(",")]
    os.sched_setaffinity(0, {core for part in ends for core in range(int(part[0]), int(part[-1]) + 1)})


def parse(arguments, usage):
    server_cores, load_cores = cores()
    parser = argparse.ArgumentParser(prog="perf/compare", description=usage, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", help="comma-separated names; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, short loads, hardly a warm-up")
    parser.add_argument("--long", action="store_true", help="the rows about the disk in full: ten minutes of retention, 10 GB cold and to recover")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only", choices=[*KINDS, "floor"], help="only this kind of server; all floors count as one")
    parser.add_argument("--server-cores", default=server_cores)
    parser.add_argument("--load-cores", default=load_cores)
    parser.add_argument("--kafka-tools", default=str(TOOLS), help="where `tests/run tools` has installed Kafka")
    parser.add_argument("--add-to", metavar="DIR", help="a run to which more rounds of the chosen rows are added, with the same programs")
    parser.add_argument("--afresh", action="store_true", help="with --add-to: forget what the run has of the chosen rows, since they have changed")
    parser.add_argument("--out", help="directory of the run; perf/runs/<date>-<machine> by default")
    parser.add_argument("--capacity", type=float, help="records/s that the end-to-end rows have a share of; measured on Apache Kafka by default")
    parser.add_argument("--cluster-capacity", type=float, help="the same of a cluster, for the rows about one")
    parser.add_argument("--programs", help="directory with flumen and flumen-bench, instead of building them")
    parser.add_argument("--seed", type=int, default=None, help="of the order of brokers and rows")
    parsed = parser.parse_args(arguments)
    parsed.chosen = list(ROWS.values())
    if parsed.rows:
        unknown = [name for name in parsed.rows.split(",") if name not in ROWS]
        if unknown:
            parser.error(f"no rows {' '.join(unknown)}; there are: {' '.join(ROWS)}")
        parsed.chosen = [ROWS[name] for name in parsed.rows.split(",")]
    return parsed


def build():
    """The release programs; where they are. One after the other: built together, the broker would get the generator's features."""
    for package in ("flumen", "flumen-bench"):
        command = ["cargo", "build", "--release", "-q", "--message-format", "json", "-p", package, "--bin", package]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    programs = [json.loads(line).get("executable") for line in done.stdout.splitlines() if line.startswith("{")]
    return Path(next(program for program in programs if program)).parent


def new_run():
    """A directory that no run has yet."""
    name = f"{datetime.date.today()}-{platform.node()}"
    names = [name, *(f"{name}-{number}" for number in range(2, 100))]
    return next(path for path in (ROOT / "perf" / "runs" / name for name in names) if not path.exists())


def said(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0] if (done.stdout or done.stderr).strip() else "unknown"


def facts(place, parsed):
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    jars = sorted(path.name for path in (place.kafka_tools / "kafka" / "libs").glob("kafka-clients-*.jar"))
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "commit": said("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "Flumen": said(str(place.flumen), "--version"), "Apache Kafka": ", ".join(jars) or "not installed",
        "Java": said("java", "-version"), "JVM heap": f"{servers.KAFKA_HEAP}, {servers.CLUSTER_HEAP} each in a cluster", "kernel": platform.release(), "processor": f"{model}, {os.cpu_count()} cores",
        "server cores": place.server_cores, "generator cores": place.load_cores,
        "file system": said("stat", "-f", "-c", "%T", str(place.scratch)), "rounds": 1 if parsed.quick else parsed.rounds,
        "seconds": f"{QUICK_SECONDS if parsed.quick else MEASURE_SECONDS} measured a row, {WARM_SECONDS if not parsed.quick else QUICK_SECONDS} of warm-up of a broker",
        "topics": " ".join(place.topic_configs), "rows about the disk": "in full" if parsed.long else "short",
    }


class Results:
    def __init__(self, out):
        self.out = out
        self.figures, self.raw, self.failed, self.turns = {}, {}, [], {}
        self.round = 0

    def take_up(self, chosen, afresh):
        """Goes on with what the directory has; what failed of the chosen rows is forgotten, and all of them if `afresh`. Returns the
        facts."""
        kept = json.loads((self.out / "figures.json").read_text())
        self.figures = kept["figures"]
        self.turns = {row: {int(below): count for below, count in classes.items()} for row, classes in kept["turns"].items()}
        again = tuple(f"{row.name} on " for row in chosen)
        self.failed = [failure for failure in kept["failed"] if not failure.startswith(again)]
        for row in chosen if afresh else ():
            self.figures.pop(row.name, None)
            self.turns.pop(row.name, None)
            shutil.rmtree(self.out / "raw" / row.name, ignore_errors=True)
        for path in sorted((self.out / "raw").glob("*/*.json")):
            name, number, _ = path.stem.rsplit("-", 2)
            kind = max((kind for kind in report.COLOURS if f"{name}-".startswith(f"{kind}-")), key=len)
            self.raw.setdefault(path.parent.name, []).append((kind, name[len(kind) + 1:] or None, json.loads(path.read_text())))
            self.round = max(self.round, int(number))
        return kept["facts"]

    def fail(self, what):
        what = what.replace(f"{ROOT}/", "")
        self.failed.append(what)
        print(f"  FAILED: {what}", flush=True)

    def keep(self, row, kind, result, label=None):
        if "run" in result.get("parameters", {}):
            # Where this machine keeps its files is no result.
            result["parameters"]["run"]["json"] = None
        self.raw.setdefault(row, []).append((kind, label, result))
        folder = self.out / "raw" / str(row)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{kind}-{label}" if label else kind
        number = len(list(folder.glob(f"{name}-{self.round}-*.json")))
        (folder / f"{name}-{self.round}-{number}.json").write_text(json.dumps(result, indent=1) + "\n")

    def configuration(self, name, server):
        (self.out / f"{name}.properties").write_text(server.configuration().replace(str(server.place.scratch), "<scratch>"))

    def add(self, row, kind, figures):
        self.figures.setdefault(row, {}).setdefault(kind, []).append(figures)
        print(f"  {row:<24} {kind:<12} " + "  ".join(f"{name} {report.figure(value)}" for name, value in figures.items()), flush=True)

    def stalls(self, row, cores):
        """Adds {µs: turns that took less} of each core to what the row has."""
        sums = self.turns.setdefault(row, {})
        for classes in cores:
            for below, count in classes.items():
                sums[below] = sums.get(below, 0) + count


def lengths(parsed):
    """Seconds that a row measures, and that a broker is warmed."""
    return (QUICK_SECONDS, QUICK_SECONDS) if parsed.quick else (MEASURE_SECONDS, WARM_SECONDS)


def touch_memory():
    """Writes to half of the memory that is free, and gives it back.

    In a virtual machine a page costs several times as much when it is written for the first time since the machine was started, and
    many a hypervisor takes back what is free, within minutes. So this is done before each broker is started, of either kind: whoever runs
    later, or writes faster, would pay for it.
    """
    available = next(int(line.split()[1]) * 1024 for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    block = 64 << 20
    blocks = [bytearray(b"\1") * block for _ in range(available // 2 // block)]
    return f"{len(blocks) * block / 2**30:.1f} GiB"


def measure_capacity(place, results, memory, seconds, warm_seconds):
    """What Apache Kafka takes, on a broker of its own before the first round."""
    load = Load("kafka", place, seconds, results, memory)
    with servers.Broker("kafka", place) as broker:
        load.running = broker
        load.warm(warm_seconds)
        load.row, load.seconds = "capacity", seconds
        return capacity(load)


def measure_cluster_capacity(place, results, memory, seconds, warm_seconds):
    """The same of three brokers."""
    load = Load("kafka", place, seconds, results, memory)
    load.row = "cluster-capacity"
    return cluster_capacity(load, warm_seconds)


# What rows have a share of, and what it is of in words.
CAPACITIES = {"capacity": (measure_capacity, "Apache Kafka takes", "end-to-end rows"),
              "cluster capacity": (measure_cluster_capacity, "Three brokers of Apache Kafka take", "paced rows of a cluster")}


def find_capacities(parsed, place, results, memory, known):
    """Measures what the chosen rows have a share of, unless it was given or an earlier run has it."""
    for name, (measure, words, rows) in CAPACITIES.items():
        given = getattr(parsed, name.replace(" ", "_"))
        if given:
            memory[name] = given
        elif parsed.rounds and memory.get(name) is None and any(row.share_of == name for row in parsed.chosen):
            memory[name] = measure(place, results, memory, *lengths(parsed))
        if memory.get(name):
            known[name] = memory[name]
            known[words] = f"{report.figure(memory[name])} records/s in a closed loop, of which the {rows} have a share"


def run_rows(rows, load, results, seconds):
    for row in rows:
        load.row, load.seconds = row.name, seconds
        if row.own:
            touch_memory()
        try:
            results.add(row.name, load.kind, row.function(load, load.kind))
        except (RuntimeError, OSError, subprocess.TimeoutExpired, KeyError) as error:
            results.fail(f"{row.name} on {load.kind}: {error!r}")
        if row.own:
            for name in (load.kind, f"{load.kind}-cluster"):
                shutil.rmtree(load.place.data / name, ignore_errors=True)


def run_round(parsed, place, results, memory, dice):
    kinds = [kind for kind in (*KINDS, "floor") if parsed.only in (None, kind)]
    dice.shuffle(kinds)
    memory["flumen"] = {}
    for kind in kinds:
        if kind == "floor":
            run_floors(parsed, [row for row in parsed.chosen if not row.follows], place, results, memory, dice)
        else:
            run_broker(parsed, kind, place, results, memory, dice)
    if "floor" in kinds:
        run_floors(parsed, [row for row in parsed.chosen if row.follows], place, results, memory, dice)


def run_floors(parsed, rows, place, results, memory, dice):
    turns = [(row, floor) for row in rows for floor in row.floors_to_run()]
    dice.shuffle(turns)
    seconds, _ = lengths(parsed)
    for row, floor in turns:
        run_rows([row], Load(floor, place, seconds, results, memory), results, seconds)


def run_broker(parsed, kind, place, results, memory, dice):
    seconds, warm_seconds = lengths(parsed)
    rows = list(parsed.chosen)
    dice.shuffle(rows)
    load = Load(kind, place, seconds, results, memory)
    try:
        run_on_one_broker([row for row in rows if not row.own], load, results, seconds, warm_seconds)
    except RuntimeError as error:
        results.fail(f"{kind}: {error}")
    run_rows([row for row in rows if row.own], load, results, seconds)


def run_on_one_broker(rows, load, results, seconds, warm_seconds):
    if not rows:
        return
    touch_memory()
    with servers.Broker(load.kind, load.place) as broker:
        results.configuration(load.kind, broker)
        load.running = broker
        load.warm(warm_seconds)
        run_rows(rows, load, results, seconds)
    shutil.rmtree(broker.home, ignore_errors=True)


def write(results, known):
    counts = {len(kinds["flumen"]) for kinds in results.figures.values() if "flumen" in kinds}
    known["rounds"] = " to ".join(map(str, sorted({min(counts), max(counts)}))) if counts else "none"
    (results.out / "README.md").write_text(report.table(ROWS.values(), results, known) + "\n")
    kept = {"facts": known, "figures": results.figures, "turns": results.turns, "failed": results.failed}
    (results.out / "figures.json").write_text(json.dumps(kept, indent=1) + "\n")
    for row, raw in results.raw.items():
        shown = {word for rounds in results.figures.get(row, {}).values() for figures in rounds for name in figures for word in name.split()}
        for metric in ("ack", "end_to_end"):
            drawing = report.plot(f"{row}: {metric.replace('_', ' ')} latency by percentile", metric, raw)
            if metric in shown and drawing:
                (results.out / f"{row}-{metric}.svg").write_text(drawing)


def main(arguments, usage):
    parsed = parse(arguments, usage)
    if parsed.list:
        for row in ROWS.values():
            print(f"{row.name:<32} {row.about}")
            for goal in row.goals:
                print(f"{'':<32} goal: {goal}")
        return 0
    started = time.monotonic()
    scratch = ROOT / "target" / "perf"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    place = Place(parsed, scratch, Path(parsed.programs).resolve() if parsed.programs else build())
    if not (place.kafka_tools / "kafka" / "libs").is_dir() and parsed.only in (None, "kafka"):
        if parsed.kafka_tools != str(TOOLS):
            sys.exit(f"{place.kafka_tools} has no Apache Kafka: `tests/run tools` installs it into {TOOLS}")
        subprocess.run([ROOT / "tests" / "run", "tools"], check=True)
    # What this does beside a load (waiting, dropping files from the page cache) is no business of the servers' processors.
    pin(parsed.load_cores)
    out = Path(parsed.add_to or parsed.out or new_run())
    out.mkdir(parents=True, exist_ok=True)
    results = Results(out)
    known, memory, dice = facts(place, parsed), {}, random.Random(parsed.seed)
    if parsed.add_to:
        before = results.take_up(parsed.chosen, parsed.afresh)
        begun = before.pop("added", [])
        known = before
        memory.update((name, before.get(name)) for name in CAPACITIES)
        known["added"] = begun
    elif not parsed.quick:
        known["memory written before each broker is started"] = touch_memory()
    first = results.round
    find_capacities(parsed, place, results, memory, known)
    for number in range(1 if parsed.quick else parsed.rounds):
        results.round = first + number + 1
        print(f"round {results.round}", flush=True)
        run_round(parsed, place, results, memory, dice)
        if parsed.add_to:
            known["added"] = [*begun, f"{number + 1} round(s) of {parsed.rows or 'all rows'}"]
        write(results, known)
    if results.round == first:
        # The table and plots as they would be drawn now.
        write(results, known)
    if not results.failed:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes; {out}/README.md")
    for failure in results.failed:
        print(f"FAILED: {failure}")
    return 1 if results.failed else 0
