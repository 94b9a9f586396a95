"""The live tail as web clients follow it, curl and a browser's EventSource: the server is
killed and comes again on the same database, and neither misses or repeats a change.

    tail.py BINARY FOLDER

FOLDER has the package eventsource in its node_modules. Every wait has a deadline; nothing
sleeps.
"""

import http.client
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager

from round import DEADLINE, Receiver, server

EVENT_SOURCE = pathlib.Path(__file__).parent.parent / "js" / "event_source.mjs"
PATH = "/v3/webHooks/eventLog/tail?position=earliest"
# Changes that a client has heard of when the server is killed.
HEARD = 40
# Events that are published after it came again.
AFTERWARDS = 20


class Client:
    """A program that follows the tail, and what it heard."""

    def __init__(self, process):
        self.process = process
        self.events = queue.Queue()
        self.sequences = []
        self.settled = set()
        self.last_id = ""
        self.caught_up = False
        # A pipe has no deadline; a queue has.
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for event in self.parse(self.process.stdout):
            self.events.put(event)
        self.events.put(None)

    def next(self):
        """The next event; none once the program has ended."""
        event = self.events.get(timeout=DEADLINE)
        if event is None:
            return None
        kind, last_id, data = event
        self.last_id = last_id
        assert kind in ("message", "caughtUp", "open"), event
        self.caught_up = self.caught_up or kind == "caughtUp"
        if kind == "message":
            self.sequences.append(data["sequence"])
            if data["change"] == "SETTLED":
                self.settled.add(data["eventId"])
        return event

    def until(self, done):
        while not done(self):
            assert self.next() is not None, f"{self.process.args[0]} has ended"


class Curl(Client):
    """curl -N, whose output is the stream itself."""

    @staticmethod
    def parse(lines):
        """Events by the rules of the HTML standard: what no empty line ends is none."""
        kind, last_id, data = "message", "", []
        for line in lines:
            field, _, value = line.rstrip("\n").partition(":")
            value = value.removeprefix(" ")
            if line == "\n":
                if data:
                    yield kind, last_id, json.loads("\n".join(data))
                kind, data = "message", []
            elif field == "event":
                kind = value
            elif field == "id":
                last_id = value
            elif field == "data":
                data.append(value)


class Browser(Client):
    """EventSource in node, which tells each event as JSON."""

    @staticmethod
    def parse(lines):
        for line in lines:
            event = json.loads(line)
            yield event["type"], event.get("id", ""), event.get("data")


@contextmanager
def running(client, *command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield client(process)
    finally:
        process.kill()
        process.wait()


def curl(address, last_id=""):
    resume = ["-H", f"Last-Event-ID: {last_id}"] if last_id else []
    return running(Curl, "curl", "-sN", *resume, f"http://{address}{PATH}")


def post(address, path, body):
    connection = http.client.HTTPConnection(address, timeout=DEADLINE)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        told = json.load(answer)
        assert answer.status in (200, 202), told
        return told["data"]
    finally:
        connection.close()


def publish(address):
    return post(address, "/v3/events", {"eventName": "pointsIssued", "data": {}})["eventId"]


def publish_until_killed(address, acknowledged):
    try:
        while True:
            acknowledged.append(publish(address))
    except (OSError, http.client.HTTPException):
        pass


def run(binary, folder):
    acknowledged = []
    with tempfile.TemporaryDirectory() as directory, Receiver() as receiver:
        with server(binary, directory) as (process, address):
            hook = {
                "name": "tail",
                "eventNames": ["pointsIssued"],
                "webHookUrl": receiver.url,
                "maxAllowedConnections": 5,
            }
            post(address, "/v3/webHooks", hook)
            url = f"http://{address}{PATH}"
            page = running(Browser, "node", EVENT_SOURCE, pathlib.Path(folder).resolve(), url)
            with page as browser, curl(address) as first:
                browser.until(lambda client: client.caught_up)
                publisher = threading.Thread(
                    target=publish_until_killed, args=(address, acknowledged), daemon=True
                )
                publisher.start()
                first.until(lambda client: len(client.sequences) >= HEARD)
                process.kill()
                publisher.join(timeout=DEADLINE)
                assert not publisher.is_alive()
                while first.next() is not None:
                    pass

                with server(binary, directory, address):
                    with curl(address, first.last_id) as second:
                        acknowledged += [publish(address) for _ in range(AFTERWARDS)]
                        wanted = set(acknowledged)
                        second.until(lambda client: wanted <= first.settled | client.settled)
                        browser.until(lambda client: wanted <= client.settled)
                        check(address, browser, [*first.sequences, *second.sequences])
    print(f"curl and EventSource missed none of {len(acknowledged)} events across a kill")


def check(address, browser, by_curl):
    """What both heard, piece by piece, is what the log has."""
    with curl(address) as whole:
        whole.until(lambda client: client.caught_up)
        log = whole.sequences
    assert log == list(range(1, len(log) + 1)), log
    for heard in (browser.sequences, by_curl):
        # The log may have gone on since.
        assert len(heard) > HEARD and heard == log[: len(heard)], (heard, log)


if __name__ == "__main__":
    run(*sys.argv[1:])
