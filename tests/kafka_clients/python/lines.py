"""What the Python peers share: the JSON lines that tests/support/peers.rs and tests/support/members.rs describe."""
import json
import sys
import threading
import time

SECONDS = 60
# The numbers of a journey; the records are young enough for the retention.
RETENTION_MS = "3600000"
AGO_MS = 1_800_000
RECORDS = 30
WANTED = 10
PARTITIONS = (3, 5)
TOO_LARGE = 2_000_000
BEHIND_THE_END = 1_000_000
SETTLE_SECONDS = 15


def unhex(text):
    return None if text is None else bytes.fromhex(text)


def tohex(data):
    if data is None:
        return None
    return (data.encode() if isinstance(data, str) else data).hex()


def dump(topic, partition, offset, timestamp, key, value, headers):
    return {
        "topic": topic, "partition": partition, "offset": offset, "timestamp": timestamp, "key": tohex(key), "value": tohex(value),
        "headers": [[name, tohex(data)] for name, data in headers or []],
    }


def tell(line):
    print(json.dumps(line), flush=True)


def tell_places(what, places):
    tell({what: [[place.topic, place.partition] for place in places]})


def error_text(error):
    return f"{type(error).__name__}: {error}"


def until(ask, enough=bool):
    """The first answer that is enough, or the last one before the time is up: what an admin call did is seen a little later."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while not enough(seen := ask()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return seen


def at_the_end_of_input(call):
    """Calls it, from a thread of its own, when standard input ends."""
    threading.Thread(target=lambda: (sys.stdin.read(), call()), daemon=True).start()


def serve(tasks, member):
    """Answers each task with the lines that its function yields; `member` is the one that reads standard input itself."""
    for line in iter(sys.stdin.readline, ""):
        task = json.loads(line)
        if task["do"] == "member":
            member(sys.argv[1], task)
            return
        for answer in tasks[task["do"]](sys.argv[1], task):
            print(json.dumps(answer))
        sys.stdout.flush()
