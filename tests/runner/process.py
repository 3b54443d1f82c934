"""One command with a hard limit: when the time is up, it and everything that it started are killed."""
import os
import signal
import subprocess


def run(command, log, limit, environment, directory):
    """The exit code, or None when it was killed. Both outputs go to the file `log`."""
    with open(log, "wb") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=environment, cwd=directory, start_new_session=True,
        )
        try:
            return child.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # The suite is a session of its own: brokers and tools that a failed test left behind go with it.
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
