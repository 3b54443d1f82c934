"""Installs what the suites need: Debian's packages, and pinned clients into target/tools.

Each tool is a row here. What comes from a registry is pinned by a lock file in the repository, and a stamp in target/tools
holds the hash of everything it was made from, so that a second run installs nothing.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import process

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target" / "tools"
CLIENTS = ROOT / "tests" / "kafka_clients"
INSTALL_SECONDS = 900

# Program -> the Debian package that has it.
PACKAGES = {
    "cc": "build-essential", "git": "git", "kcat": "kcat", "java": "openjdk-17-jdk-headless", "javac": "openjdk-17-jdk-headless",
    "mvn": "maven", "go": "golang-go", "strace": "strace", "ip": "iproute2",
    "node": "nodejs", "npm": "npm",
    "systemd-analyze": "systemd", "journalctl": "systemd", "dbus-daemon": "dbus", "unshare": "util-linux", "nsenter": "util-linux", "mkfs.ext4": "e2fsprogs", "filefrag": "e2fsprogs", "losetup": "mount", "fallocate": "util-linux",
}


class Tool:
    """`programs` must be on the PATH; `sources` are what the result is made from; `make` makes it."""

    def __init__(self, programs, sources=(), make=None, after=()):
        self.programs, self.sources, self.make, self.after = programs, sources, make, after


def sh(log, command, **environment):
    code = process.run(["bash", "-euc", command], log, INSTALL_SECONDS, {**os.environ, **environment}, ROOT)
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        sys.exit(f"{tail}\ncould not install ({'time is up' if code is None else f'exit code {code}'}): {command}")


def jars(source, name):
    """Apache Kafka, its tools and their dependencies as jars, checked against the hashes in the repository."""
    def make(log):
        libs = TOOLS / name / "libs"
        shutil.rmtree(libs, ignore_errors=True)
        sh(log, f"mvn -q -B -f {CLIENTS}/{source}/pom.xml dependency:copy-dependencies -DoutputDirectory={libs}")
        lock = CLIENTS / source / "jars.sha256"
        wanted = dict(reversed(line.split()) for line in lock.read_text().splitlines()) if lock.exists() else {}
        found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in sorted(libs.glob("*.jar"))}
        if os.environ.get("FLUMEN_TEST_RELOCK") == "1":
            lock.write_text("".join(f"{digest}  {name}\n" for name, digest in found.items()))
        elif found != wanted:
            different = sorted(set(found.items()) ^ set(wanted.items()))
            sys.exit(f"the jars are not those of {lock}: {different[:4]}; FLUMEN_TEST_RELOCK=1 writes it anew")
    return make


def make_java(log):
    classes = TOOLS / "java"
    shutil.rmtree(classes, ignore_errors=True)
    sh(log, f"javac -Xlint:all -d {classes} -cp '{TOOLS}/kafka/libs/*' {CLIENTS}/java/*.java")


def make_python(log):
    venv = TOOLS / "python"
    shutil.rmtree(venv, ignore_errors=True)
    sh(log, f"python3 -m venv {venv} && {venv}/bin/pip install -q --disable-pip-version-check --require-hashes --only-binary :all: "
            f"-r {CLIENTS}/python/requirements.txt")


def make_go(log):
    sh(log, f"cd {CLIENTS}/go && go build -mod=readonly -o {TOOLS}/go/client .", CGO_ENABLED="0")


def make_sarama(log):
    sh(log, f"cd {CLIENTS}/go-sarama && go build -mod=readonly -o {TOOLS}/sarama/client .", CGO_ENABLED="0")


def make_franz_go_suite(log):
    """franz-go's own tests, from the module that its client is built from."""
    sh(log, f"cd {CLIENTS}/go && go test -mod=readonly -c -o {TOOLS}/franz-go-suite/suite github.com/twmb/franz-go/pkg/kgo", CGO_ENABLED="0")


def make_sarama_suite(log):
    """sarama's own tests, likewise. They create their topics with three replicas; here there is one broker."""
    suite = TOOLS / "sarama-suite"
    shutil.rmtree(suite, ignore_errors=True)
    suite.mkdir()
    sh(log, f"module=$(cd {CLIENTS}/go-sarama && go mod download && go list -mod=readonly -m -f '{{{{.Dir}}}}' github.com/IBM/sarama) && "
            f"cp -r \"$module\" {suite}/source && chmod -R u+w {suite}/source && cd {suite}/source && "
            f"sed -i 's/ReplicationFactor: 3,/ReplicationFactor: 1,/' functional_test.go && "
            f"go test -mod=readonly -tags functional -c -o {suite}/suite .", CGO_ENABLED="0")


def make_spark(log):
    """Spark with its Python interface, whose package has to be built, and the jars with which it talks to Kafka."""
    jars("spark", "spark")(log)
    venv = TOOLS / "spark" / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    pip = f"{venv}/bin/pip install -q --disable-pip-version-check --no-cache-dir --require-hashes --no-deps"
    sh(log, f"python3 -m venv {venv} && {pip} --only-binary :all: -r {CLIENTS}/spark/requirements-build.txt && "
            f"{pip} --no-build-isolation --use-pep517 -r {CLIENTS}/spark/requirements.txt")


def make_node(log):
    """Without the scripts of packages: nothing is compiled, the codecs come built."""
    modules = TOOLS / "node"
    shutil.rmtree(modules, ignore_errors=True)
    modules.mkdir()
    sh(log, f"cp {CLIENTS}/js/package.json {CLIENTS}/js/package-lock.json {modules} && cd {modules} && "
            f"npm ci --ignore-scripts --no-audit --no-fund")


TOOL = {
    "kcat": Tool(["kcat"]),
    "strace": Tool(["strace"]),
    "ip": Tool(["ip"]),
    "systemd": Tool(["systemd-analyze"]),
    "machines": Tool(["ip", "unshare", "nsenter", "systemd-analyze", "journalctl", "dbus-daemon"]),
    "ext4": Tool(["mkfs.ext4", "filefrag", "losetup", "fallocate"]),
    "maven": Tool(["java", "mvn"]),
    "kafka": Tool(["java", "mvn"], ["java/pom.xml", "java/jars.sha256"], jars("java", "kafka")),
    "kafka-3.5": Tool(["java", "mvn"], ["java-3.5/pom.xml", "java-3.5/jars.sha256"], jars("java-3.5", "kafka-3.5")),
    "java": Tool(["java", "javac"], ["java/pom.xml", "java/jars.sha256", "java/*.java"], make_java, after=["kafka"]),
    "python": Tool(["python3"], ["python/requirements.txt"], make_python),
    "go": Tool(["go"], ["go/go.mod", "go/go.sum", "go/*.go"], make_go),
    "sarama": Tool(["go"], ["go-sarama/go.mod", "go-sarama/go.sum", "go-sarama/*.go"], make_sarama),
    "franz-go-suite": Tool(["go"], ["go/go.mod", "go/go.sum"], make_franz_go_suite),
    "sarama-suite": Tool(["go"], ["go-sarama/go.mod", "go-sarama/go.sum"], make_sarama_suite),
    "spark": Tool(["java", "mvn", "python3"], ["spark/pom.xml", "spark/jars.sha256", "spark/*.txt"], make_spark),
    "node": Tool(["node", "npm"], ["js/package.json", "js/package-lock.json"], make_node),
}


def install_packages(programs, logs):
    missing = sorted({PACKAGES.get(program, program) for program in programs if not shutil.which(program)})
    if not missing:
        return
    line = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"the tests need programs that are not installed; install them with:\n    sudo sh -c '{line}'")
    print(f"installing Debian's packages: {' '.join(missing)}", flush=True)
    sh(logs / "apt.log", line, DEBIAN_FRONTEND="noninteractive")
    still = [program for program in programs if not shutil.which(program)]
    if still:
        sys.exit(f"still not on the PATH after installing {' '.join(missing)}: {' '.join(still)}")


def install(names, logs):
    """Installs the named tools and those that they build on; exits with the reason when one cannot be had."""
    for name in names:
        if name not in TOOL:
            sys.exit(f"tests/suites.txt needs the unknown tool {name}")
    for program in ("cargo", "rustc"):
        if not shutil.which(program):
            sys.exit(f"{program} is not on the PATH: install a Rust toolchain (see README.md)")
    order = []
    for name in names:
        order += [first for first in TOOL[name].after if first not in order] + ([name] if name not in order else [])
    install_packages(["cc", "git"] + [program for name in order for program in TOOL[name].programs], logs)
    for name in order:
        tool = TOOL[name]
        if tool.make is None:
            continue
        stamp = TOOLS / f"{name}.stamp"
        if stamp.exists() and stamp.read_text() == digest(tool):
            continue
        started = time.monotonic()
        TOOLS.mkdir(parents=True, exist_ok=True)
        tool.make(logs / f"install-{name}.log")
        stamp.write_text(digest(tool))
        print(f"{'install ' + name:<20} {time.monotonic() - started:39.1f} s", flush=True)


def digest(tool):
    total = hashlib.sha256(f"{TOOLS}".encode())
    for pattern in tool.sources:
        for path in sorted(CLIENTS.glob(pattern)):
            total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()
