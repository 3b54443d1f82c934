"""Reads the manifest, installs what the chosen suites need, runs them, and says what ran."""
import os
import re
import shutil
import sys
import threading
import time
from pathlib import Path

from . import process, tools

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "tests" / "suites.txt"
LOGS = ROOT / "target" / "test-logs"
TIERS = ["test", "ci", "long"]
# Minutes that a whole run takes at most on two quiet cores. The README says the same.
TIER_MINUTES = {"test": 10, "ci": 45, "long": 720}
# It is stopped, and what has not run counts as failed, after so many times that: a hard stop is for what hangs, not for a busy machine.
STOP_FACTOR = {"test": 3, "ci": 1.9, "long": 1}
RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.M)
TEST_OF_ROOM = re.compile(r"^test (\w+)::\S+ (?:- should panic )?\.\.\. ok$", re.M)


class Suite:
    def __init__(self, line):
        name, tier, minutes, needs, command = line.split(None, 4)
        self.name, self.tier, self.command = name.lstrip("&"), tier, command
        self.beside = None
        self.minutes = float(minutes)
        self.needs = [] if needs == "-" else needs.split(",")
        self.passed = self.failed = 0
        self.seconds = 0.0
        self.complaints = []

    @property
    def is_part(self):
        """A part runs inside another suite: `unit/log` are the tests of one room inside `unit`."""
        return "/" in self.name

    def fail(self, why):
        self.failed = max(1, self.failed)
        self.complaints.append(why)


def read_manifest():
    lines = [line for line in MANIFEST.read_text().splitlines() if line.strip() and not line.startswith("#")]
    suites = [Suite(line) for line in lines]
    main = None
    for line, suite in zip(lines, suites):
        if line.startswith("&"):
            suite.beside = main
        elif not suite.is_part:
            main = suite.name
        if suite.tier not in TIERS:
            sys.exit(f"{MANIFEST}: {suite.name} has the unknown tier {suite.tier}")
    return suites


def unlisted_targets(suites):
    """Test targets that cargo would find and that no suite runs: a test that nobody runs cannot fail."""
    targets = set()
    for tests in (ROOT / "tests", ROOT / "bench" / "tests"):
        targets |= {path.stem for path in tests.glob("*.rs")} | {path.parent.name for path in tests.glob("*/main.rs")}
    commands = " ".join(suite.command for suite in suites)
    return sorted(target for target in targets if not re.search(rf"--test {target}\b", commands))


def choose(suites, arguments, usage):
    if not arguments:
        arguments = ["test"]
    if arguments[0] in ("-h", "--help"):
        sys.exit(usage)
    if arguments[0] in TIERS:
        tier = arguments[0]
        return tier, [suite for suite in suites if TIERS.index(suite.tier) <= TIERS.index(tier)]
    if arguments == ["tools"]:
        return "long", suites
    names = {suite.name for suite in suites}
    for name in arguments:
        if name not in names:
            sys.exit(f"no suite {name}; there are: {' '.join(sorted(names))}")
    tier = os.environ.get("FLUMEN_TEST_TIER", "ci")
    return tier, [suite for suite in suites if suite.name.split("/")[0] in arguments or suite.name in arguments]


def count(suite, output, code, parts):
    if "cargo test" not in suite.command:
        suite.passed, suite.failed = (1, 0) if code == 0 else (0, 1)
        return
    results = [tuple(map(int, found)) for found in RESULT.findall(output)]
    suite.passed, suite.failed = sum(r[0] for r in results), sum(r[1] for r in results)
    if sum(r[2] for r in results):
        suite.fail(f"{sum(r[2] for r in results)} tests are ignored: a test runs or is not there")
    if code == 0 and suite.passed == 0:
        suite.fail("ran no test")
    rooms = TEST_OF_ROOM.findall(output)
    for part in parts:
        part.passed = rooms.count(part.name.split("/")[1])
        if part.passed == 0:
            suite.fail(f"{part.name}: ran no test")


def run_suite(suite, parts, tier, deadline):
    log = LOGS / f"{suite.name}.log"
    started = time.monotonic()
    limit = min(suite.minutes * 60, deadline - started)
    if limit <= 0:
        suite.fail("the tier's minutes were used up before it could start")
        return
    environment = {**os.environ, "FLUMEN_TEST_TIER": tier, "RUST_BACKTRACE": "0", "CARGO_TERM_COLOR": "never"}
    code = process.run(["bash", "-c", suite.command], log, limit, environment, ROOT)
    suite.seconds = time.monotonic() - started
    output = log.read_text(errors="replace")
    count(suite, output, code, parts)
    if code is None:
        suite.fail(f"killed after {limit:.0f} s")
    elif code != 0:
        suite.fail(f"exit code {code}")
    if suite.failed:
        lines = output.splitlines()
        print(f"---- {suite.name}: last lines of {log.relative_to(ROOT)}")
        # "test result" lines are left out: the only count on a line of its own is the closing one.
        print("\n".join(line for line in lines[-150:] if not line.startswith("test result")))


def side_by_side(suites):
    """Of each step its two lanes: a suite, and those that run one after another beside it. Without it they are steps of their own."""
    steps = []
    for suite in suites:
        if steps and suite.beside == steps[-1][0][0].name:
            steps[-1][1].append(suite)
        else:
            steps.append(([suite], []))
    return steps


def run_lane(lane, chosen, tier, deadline):
    for suite in lane:
        parts = [part for part in chosen if part.is_part and part.name.split("/")[0] == suite.name]
        print(f"{suite.name:<20} running", flush=True)
        try:
            run_suite(suite, parts, tier, deadline)
        except Exception as error:
            # In a thread it would end nothing but the lane, and what has not run must not count as passed.
            suite.fail(f"the runner itself: {error!r}")
        verdict = "FAILED" if suite.failed else "ok"
        lines = [f"{suite.name:<20} {verdict:<7} {suite.passed:>5} passed {suite.failed:>3} failed {suite.seconds:8.1f} s"]
        lines += [f"  {part.name:<18} {part.passed:>13} passed" for part in parts]
        lines += [f"  {suite.name}: {complaint}" for complaint in suite.complaints]
        print("\n".join(lines), flush=True)


def forget_killed_runs():
    """Data directories of tests that were killed, or that shared a broker until their process ended."""
    for left in ROOT.glob("target/*/tmp/flumen-test-*"):
        shutil.rmtree(left, ignore_errors=True)


def main(arguments, usage):
    os.chdir(ROOT)
    started = time.monotonic()
    suites = read_manifest()
    tier, chosen = choose(suites, arguments, usage)
    unlisted = unlisted_targets(suites)
    if unlisted:
        sys.exit(f"tests/suites.txt does not list: {' '.join(unlisted)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    forget_killed_runs()
    deadline = started + TIER_MINUTES[tier] * STOP_FACTOR[tier] * 60
    tools.install(sorted({need for suite in chosen for need in suite.needs}), LOGS)
    if arguments == ["tools"]:
        return 0
    for lanes in side_by_side([suite for suite in chosen if not suite.is_part]):
        threads = [threading.Thread(target=run_lane, args=(lane, chosen, tier, deadline)) for lane in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    whole = [suite for suite in chosen if not suite.is_part]
    passed, failed = sum(suite.passed for suite in whole), sum(suite.failed for suite in whole)
    print(f"tier {tier}: {len(whole)} suites, {(time.monotonic() - started) / 60:.1f} minutes (at most {TIER_MINUTES[tier]} on two quiet cores)")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
