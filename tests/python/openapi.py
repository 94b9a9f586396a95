"""Requests made from the OpenAPI document, good and bad, against a running server: every
answer is as the document says, bad requests and missing or bad credentials are refused,
and none is a fault of the server.

    openapi.py BINARY

The same requests in each run. A receiver stands where the examples of SuperOffice lead:
webhooks of that dialect are only made where the test event is taken. Left out is the live
tail, whose answer has no end, and that good requests are accepted: what a request may name,
and where a webhook may lead, no document can say.
"""

import subprocess
import sys
import tempfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

CONFIGURATION = Path(__file__).resolve().with_suffix(".toml")
# Paths that the runs leave out.
TAIL = "/v3/webHooks/eventLog/tail"
TOKENS = "/v3/oauth/token/generate"
# Where examples of the document lead, to be replaced by a receiver.
TARGET = "https://receiver.example/superoffice"
# Seconds that a run may take; far more than it does.
DEADLINE = 290

# All kinds of requests. Bad logins are not among them: their answers are slowed down.
THOROUGH = [
    "--phases=examples,coverage,fuzzing,stateful",
    "--exclude-checks=positive_data_acceptance,ignored_auth",
    f"--exclude-path={TOKENS}",
    "--max-examples=15",
]
# A few good requests to each route, repeated without and with bad credentials.
UNAUTHENTICATED = [
    "--phases=examples,fuzzing",
    "--mode=positive",
    "--exclude-checks=positive_data_acceptance",
    "--max-examples=3",
]


class Receiver(BaseHTTPRequestHandler):
    """Takes whatever is sent."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def receiver():
    """A receiver on this machine; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/"
        listening.shutdown()


@contextmanager
def server(binary, directory):
    """A server that asks for credentials, with a token that is good for everything."""
    database = f"--database=sqlite:{directory}/tidings.db"
    create = [binary, "keys", "create", "--tenant=default", "--permission=all", database]
    token = subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()
    log = open(f"{directory}/log", "w")
    command = [binary, "serve", "--log=warn", "--listen=127.0.0.1:0", database]
    command += ["--allow-destination=127.0.0.0/8"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        line = process.stdout.readline().split()
        assert line[:2] == ["listening", "on"], line
        yield line[2], token
        assert process.poll() is None, "the server has ended"
    finally:
        process.terminate()
        process.wait()


def fetch(address, target, directory):
    """Writes the document to a file, with examples that lead to the target."""
    with urlopen(f"http://{address}/openapi.json") as answer:
        document = answer.read().decode()
    assert TARGET in document
    Path(directory, "openapi.json").write_text(document.replace(TARGET, target))


def start(address, token, options, directory):
    command = [
        # It comes with the environment of the interpreter.
        Path(sys.executable).with_name("schemathesis"),
        f"--config-file={CONFIGURATION}",
        "run",
        "openapi.json",
        f"--url=http://{address}",
        f"--header=Authorization: Bearer {token}",
        f"--exclude-path={TAIL}",
        "--generation-deterministic",
        "--generation-with-security-parameters=false",
        "--continue-on-failure",
        "--no-color",
        *options,
    ]
    # It keeps what failed in its directory, and would begin with that the next time.
    return subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(binary):
    with (
        tempfile.TemporaryDirectory() as directory,
        receiver() as target,
        server(binary, directory) as (address, token),
    ):
        fetch(address, target, directory)
        kinds = (THOROUGH, UNAUTHENTICATED)
        runs = [start(address, token, options, directory) for options in kinds]
        failed = False
        for process in runs:
            try:
                output, _ = process.communicate(timeout=DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                output, _ = process.communicate()
            summary = [line for line in output.splitlines() if " passed" in line]
            print("\n".join(summary[-1:]) if process.returncode == 0 else output)
            failed = failed or process.returncode != 0
        if failed:
            print(Path(directory, "log").read_text()[-4000:])
            sys.exit("answers are not as the OpenAPI document says")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    run(sys.argv[1])
    print("answers are as the OpenAPI document says")
