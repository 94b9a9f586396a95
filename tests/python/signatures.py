"""Signatures as receivers verify them: with the official Standard Webhooks libraries
for Python and JavaScript, and with the HMAC of Python's own library.

    signatures.py BINARY FOLDER

FOLDER has the library for JavaScript in its node_modules. Every wait has a deadline;
nothing sleeps.
"""

import base64
import hashlib
import hmac
import itertools
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta
from unittest import mock

import grpc
from standardwebhooks import Webhook, WebhookVerificationError

from round import DEADLINE, Api, Receiver, server

RECEIVER = pathlib.Path(__file__).parent.parent / "js" / "receiver.mjs"
# The libraries allow five minutes.
TOO_LONG = timedelta(minutes=6)
PAYLOADS = [
    "{}",
    ' {"b" : 1.10,\r\n"a":[ ], "b":2}\n',
    '{"big": 9007199254740993, "bigger": 123456789012345678901234567890, "small": 1e-320}',
    '{"text": "Größe 漢字 😀 \u2028 \u202e", "escaped": "\\ud83d\\ude00 \\"\\\\\\/\\u00e9"}',
]
FORMATS = ["EVENT", "CLOUDEVENTS", "RAW", "SUPEROFFICE", "SONAR", "SOCOTRA"]
NAMES = itertools.count()


class Node:
    """The receiver in JavaScript."""

    def __init__(self, process):
        self.process = process
        self.lines = queue.Queue()
        # A pipe has no deadline; a queue has.
        threading.Thread(target=self.read, daemon=True).start()
        self.url = f"http://127.0.0.1:{int(self.line())}"

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def line(self):
        line = self.lines.get(timeout=DEADLINE)
        assert line, "the receiver in JavaScript ended"
        return line

    def check(self, path, live, dead):
        """Has the next request to a path verified; returns its body."""
        self.process.stdin.write(json.dumps({"path": path, "live": live, "dead": dead}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.line())
        assert "error" not in answer, f"{path}: {answer['error']}"
        assert (answer["verified"], answer["refused"]) == (len(live), len(dead)), answer
        return base64.b64decode(answer["body"])


@contextmanager
def node(folder):
    command = ["node", str(RECEIVER), str(pathlib.Path(folder).resolve())]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    try:
        yield Node(process)
    finally:
        process.kill()
        process.wait()


class Python:
    """The receiver in Python, with the same questions."""

    def __init__(self, receiver):
        self.receiver = receiver
        self.url = receiver.url.removesuffix("/hook")

    def check(self, path, live, dead):
        headers, body = self.receiver.received.get(timeout=DEADLINE)
        headers = dict(headers.items())
        for secret in live:
            verify(secret, headers, body)
        for secret in dead:
            refuse(secret, headers, body, "No matching signature")
        return body


def verify(secret, headers, body):
    """A request verifies, and nothing that is nearly the same does."""
    assert Webhook(secret).verify(body, headers) == json.loads(body), body
    mismatch = "No matching signature"
    refuse(secret, headers, body + b" ", mismatch)
    refuse(secret, {**headers, "webhook-id": "another"}, body, mismatch)
    later = str(int(headers["webhook-timestamp"]) + 1)
    refuse(secret, {**headers, "webhook-timestamp": later}, body, mismatch)
    for shift, reason in [(TOO_LONG, "too old"), (-TOO_LONG, "too new")]:
        shifted = mock.Mock(wraps=datetime)
        shifted.now = lambda tz, shift=shift: datetime.now(tz) + shift
        with mock.patch("standardwebhooks.webhooks.datetime", shifted):
            refuse(secret, headers, body, reason)


def refuse(secret, headers, body, reason):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError as error:
        assert reason in str(error), error
        return
    raise AssertionError(f"verified, but should be refused: {reason}")


def secret_of(seed, length=32, padding="="):
    """A secret that the owner of a webhook chooses."""
    key = hashlib.sha512(seed.encode()).digest()[:length]
    return "whsec_" + base64.b64encode(key).decode().rstrip("=" if not padding else "")


class Hook:
    """A webhook with an event type and a path of its own."""

    def __init__(self, api, url, scheme="STANDARD_WEBHOOKS", values=(), **fields):
        self.api = api
        self.name = f"signed-{next(NAMES)}"
        self.path = f"/{self.name}"
        signing = {"scheme": f"SIGNING_SCHEME_{scheme}", "secrets": [{"value": v} for v in values]}
        signing["headerName"] = fields.pop("headerName", "")
        definition = {
            "name": self.name,
            "eventNames": [self.name],
            "destination": {"http": {"url": url + self.path}},
            "signing": signing,
            **fields,
        }
        made = api.call("WebhookService/CreateWebhook", {"webhook": definition}).webhook
        self.webhook_id, self.secrets = made.webhook_id, list(made.signing.secrets)

    def publish(self, payload):
        event = {"eventName": self.name, "refId": "Größe 😀", "json": payload}
        result = self.api.call("EventService/PublishEvent", {"event": event}).result
        assert result.matched_webhook_count == 1, result

    def rotate(self, overlap, value=""):
        request = {"webhookId": self.webhook_id, "value": value, "overlap": overlap}
        return self.api.call("WebhookService/RotateWebhookSecret", request).secret

    def delete(self):
        self.api.call("WebhookService/DeleteWebhook", {"webhookId": self.webhook_id})


def check_formats(api, receiver):
    """Every format and every payload verifies with a secret that the server made."""
    stranger = secret_of("stranger")
    for name in FORMATS:
        properties = {} if name == "RAW" else {"staticProperties": {}}
        hook = Hook(api, receiver.url, payloadFormat=f"PAYLOAD_FORMAT_{name}", **properties)
        for payload in PAYLOADS:
            hook.publish(payload)
            body = receiver.check(hook.path, [hook.secrets[0].value], [stranger])
            if name in ("EVENT", "CLOUDEVENTS", "RAW", "SOCOTRA"):
                assert payload.encode() in body, (name, body)
        hook.delete()


def check_secrets(api, receiver):
    """Secrets of all lengths that the specification allows, padded or not."""
    for length in (24, 25, 26, 64):
        # The library for JavaScript reads padded base64 only.
        secret = secret_of(f"own {length}", length)
        hook = Hook(api, receiver.url, values=[secret])
        hook.publish(PAYLOADS[2])
        receiver.check(hook.path, [secret], [secret_of("stranger", length)])
        hook.delete()
    if isinstance(receiver, Python):
        secret = secret_of("unpadded", 25, padding="")
        hook = Hook(api, receiver.url, values=[secret])
        hook.publish("{}")
        receiver.check(hook.path, [secret], [])
        hook.delete()


def check_rotation(api, receiver):
    """During a rotation both secrets verify; then only the new one does."""
    hook = Hook(api, receiver.url)
    first = hook.secrets[0].value
    second = secret_of("second")
    assert hook.rotate("3600s", second).value == second
    hook.publish(PAYLOADS[1])
    receiver.check(hook.path, [first, second], [secret_of("stranger")])
    third = hook.rotate("0s").value
    hook.publish(PAYLOADS[3])
    receiver.check(hook.path, [third], [first, second])
    hook.delete()


def check_ed25519(api, receiver):
    """By the specification of v1a: neither library knows it."""
    hook = Hook(api, receiver.url, "STANDARD_WEBHOOKS_ED25519")
    other = Hook(api, receiver.url, "STANDARD_WEBHOOKS_ED25519")
    first, stranger = hook.secrets[0].public_key, other.secrets[0].public_key
    second = hook.rotate("3600s").public_key
    for payload in PAYLOADS:
        hook.publish(payload)
        receiver.check(hook.path, [first, second], [stranger])
    hook.delete()
    other.delete()


def check_plain(api, receiver):
    """The plain HMAC of the body, keyed by the secret's UTF-8 bytes."""
    for scheme, header, written in [
        ("HMAC_SHA256_HEX", "", bytes.hex),
        ("HMAC_SHA256_BASE64", "X-SuperOffice-Signature", lambda mac: base64.b64encode(mac).decode()),
    ]:
        for value, name in itertools.product(["geheim ü 😀", "x" * 255], ["EVENT", "SUPEROFFICE", "RAW"]):
            format_ = f"PAYLOAD_FORMAT_{name}"
            fields = {"payloadFormat": format_, "headerName": header}
            hook = Hook(api, receiver.url, scheme, [value, "older"], **fields)
            for payload in PAYLOADS:
                hook.publish(payload)
                headers, body = receiver.receiver.received.get(timeout=DEADLINE)
                given = headers[header or "X-Tidings-Signature"]
                mac = hmac.digest(value.encode(), body, "sha256")
                assert hmac.compare_digest(given, written(mac)), (scheme, name, body)
                assert headers["webhook-signature"] is None, headers
            hook.delete()


def run(binary, folder):
    with (
        tempfile.TemporaryDirectory() as directory,
        Receiver() as receiver,
        node(folder) as javascript,
        server(binary, directory) as (_, address),
        grpc.insecure_channel(address) as channel,
    ):
        api = Api(channel)
        python = Python(receiver)
        for each in (python, javascript):
            check_formats(api, each)
            check_secrets(api, each)
            check_rotation(api, each)
        check_ed25519(api, javascript)
        check_plain(api, python)
        assert receiver.received.empty(), "more was delivered than was published"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    run(sys.argv[1], sys.argv[2])
    print("all signatures verify")
