"""A foreign client's round: what a Python program that has no generated code sees
of Tidings, from the first line on standard output to the exit code.

    round.py BINARY

Every wait has a deadline; nothing sleeps.
"""

import itertools
import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

# Seconds that a call, or another wait, may take.
DEADLINE = 20
# More than the grace period that a draining server allows itself.
DRAIN_DEADLINE = 30

SERVICES = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "tidings.v1.ApiKeyService",
    "tidings.v1.DivertedEventService",
    "tidings.v1.EventLogService",
    "tidings.v1.EventMetadataService",
    "tidings.v1.EventService",
    "tidings.v1.TenantService",
    "tidings.v1.WebhookService",
}
# Any client that reads numbers as doubles, or writes JSON anew, changes this text.
PAYLOAD = '{"big": 9007199254740993,  "price":1.10, "b":"é", "a":[ ], "b":2}'


class Receiver(ThreadingHTTPServer):
    """A destination. Says 204 to everything and keeps it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), ReceiverHandler)
        self.received = queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *error):
        self.shutdown()
        super().__exit__(*error)

    def handle_error(self, request, client_address):
        # A server that is killed leaves its connections open.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook"


class ReceiverHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.put((self.headers, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Api:
    """The services, as reflection describes them."""

    def __init__(self, channel):
        self.channel = channel
        self.reflection = ProtoReflectionDescriptorDatabase(channel)
        self.pool = descriptor_pool.DescriptorPool(self.reflection)

    def message(self, name):
        """The class of a message."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def call(self, method, request, timeout=DEADLINE):
        """Calls `Service/Method`. Requests, one or an iterable of them, are dicts."""
        service, name = method.split("/")
        found = self.pool.FindServiceByName(f"tidings.v1.{service}").FindMethodByName(name)
        asks, answers = map(message_factory.GetMessageClass, (found.input_type, found.output_type))
        kind = "_".join(
            "stream" if streams else "unary"
            for streams in (found.client_streaming, found.server_streaming)
        )
        rpc = getattr(self.channel, kind)(
            f"/{found.containing_service.full_name}/{name}",
            request_serializer=lambda fields: json_format.ParseDict(fields, asks()).SerializeToString(),
            response_deserializer=answers.FromString,
        )
        return rpc(iter(request) if found.client_streaming else request, timeout=timeout)

    def details(self, error):
        """The details of a failed call, by the name of their type."""
        trailers = dict(error.trailing_metadata())
        status = self.message("google.rpc.Status").FromString(trailers["grpc-status-details-bin"])
        assert status.code == error.code().value[0], status
        assert status.message == error.details(), status
        names = ((detail.type_url.rpartition("/")[2], detail.value) for detail in status.details)
        return {name: self.message(name).FromString(value) for name, value in names}

    def expect_failure(self, code, reason, call):
        """Makes a call that must fail so; returns the details."""
        try:
            call()
        except grpc.RpcError as error:
            assert error.code() == code, error
            details = self.details(error)
            info = details["google.rpc.ErrorInfo"]
            assert (info.domain, info.reason) == ("tidings", reason), info
            reasons = self.pool.FindEnumTypeByName("tidings.v1.ErrorReason").values_by_name
            assert f"ERROR_REASON_{reason}" in reasons, info
            return details
        raise AssertionError(f"expected {code} with {reason}")


@contextmanager
def server(binary, directory, listen="127.0.0.1:0"):
    """A server of its own; yields the process and its address."""
    arguments = ["--dev", "--listen", listen, "--database", f"sqlite:{directory}/tidings.db"]
    process = subprocess.Popen([binary, "serve", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        lines = queue.Queue()
        # A pipe has no deadline; a queue has.
        threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
        first = lines.get(timeout=DEADLINE)
        assert first.startswith("listening on 127.0.0.1:") and first.endswith("\n"), repr(first)
        yield process, first.removeprefix("listening on ").strip()
    finally:
        process.kill()
        process.wait()


def check_health_and_reflection(api):
    health = health_pb2_grpc.HealthStub(api.channel)
    for service in ("", "tidings.v1.EventService"):
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health.Check(request, timeout=DEADLINE, wait_for_ready=True)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, (service, answer)
    listed = list(api.reflection.get_services())
    assert len(listed) == len(SERVICES) and set(listed) == SERVICES, listed


def check_faults(api, url):
    """Faults of reading and faults of rules come together."""
    bad = {
        "name": "",
        "eventNames": ["not a name"],
        "destination": {"http": {"url": url, "timeout": "-1s"}},
        "maxAllowedConnections": 0,
    }
    details = api.expect_failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "FIELD_INVALID",
        lambda: api.call("WebhookService/CreateWebhook", {"webhook": bad}),
    )
    violations = details["google.rpc.BadRequest"].field_violations
    assert sorted(violation.field for violation in violations) == [
        "webhook.destination.http.timeout",
        "webhook.event_names[0]",
        "webhook.max_allowed_connections",
        "webhook.name",
    ], details
    assert all(violation.description and violation.reason for violation in violations), details


def publish(api):
    """Publishes in all three ways; returns the ids in publish order."""

    def event(number):
        return {"eventName": "pointsIssued", "refId": f"ref-{number}", "json": PAYLOAD}

    def id_of(result):
        assert result.matched_webhook_count == 1 and not result.duplicate, result
        return str(uuid.UUID(result.event_id))

    one = api.call("EventService/PublishEvent", {"event": event(0)}).result
    ids = [id_of(one)]

    batch = {"events": [event(number) for number in range(1, 4)]}
    outcomes = api.call("EventService/BatchPublishEvents", batch).outcomes
    assert len(outcomes) == 3, outcomes
    ids += [id_of(outcome.result) for outcome in outcomes]

    sequences = [10, 20, 30, 40, 50]
    events = ({"sequence": sequence, "event": event(sequence)} for sequence in sequences)
    answers = list(api.call("EventService/StreamPublishEvents", events))
    assert [answer.sequence for answer in answers] == sequences, answers
    ids += [id_of(answer.outcome.result) for answer in answers]

    # The same again: known, and not delivered twice.
    again = {"event": {**event(0), "eventId": ids[0]}}
    assert api.call("EventService/PublishEvent", again).result.duplicate
    assert len(set(ids)) == 9, ids
    return ids


def check_deliveries(receiver, webhook_id, ids):
    arrived = {}
    for _ in ids:
        headers, body = receiver.received.get(timeout=DEADLINE)
        arrived[headers["tidings-event-id"]] = body
        assert headers["content-type"] == "application/json", headers
        assert headers["tidings-webhook-id"] == webhook_id, headers
        assert headers["tidings-attempt"] == "1", headers
        assert body.endswith(b'"data":' + PAYLOAD.encode() + b"}"), body
        notification = json.loads(body)
        assert notification["eventName"] == "pointsIssued", body
        assert notification["eventId"] == headers["tidings-event-id"], body
        assert notification["orgId"] == "default", body
        assert notification["data"]["big"] == 9007199254740993, body
    assert set(arrived) == set(ids), (sorted(arrived), sorted(ids))


def follow(tail, count):
    """Follows an open tail until that many deliveries are settled; returns the
    changes."""
    first = next(tail)
    assert first.WhichOneof("message") == "opened", first
    changes, settled = [], 0
    while settled < count:
        message = next(tail)
        assert message.resume_token, message
        for change in message.event_logs.changes:
            changes.append(change)
            settled += change.kind == kind(change, "CHANGE_KIND_SETTLED")
    return changes


def kind(change, name):
    return change.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_name[name].number


def check_log(api, webhook_id, ids):
    for event_id in ids:
        answer = api.call("EventLogService/GetEventLog", {"eventId": event_id})
        record = json_format.MessageToDict(answer.event_log)
        assert answer.total_size == 1, answer
        assert record["status"] == "DELIVERY_STATUS_SUCCEEDED", record
        assert record["webhookId"] == webhook_id and record["eventId"] == event_id, record
        assert record["consumerResponse"]["httpStatus"] == 204, record
        assert [attempt["attemptNumber"] for attempt in record["attempts"]] == [1], record

    pages, token = [], ""
    while not pages or token:
        request = {"pageSize": 4, "pageToken": token, "ascending": False}
        answer = api.call("EventLogService/ListEventLogs", request)
        pages.append([record.event_id for record in answer.event_logs])
        token = answer.next_page_token
    assert [len(page) for page in pages] == [4, 4, 1], pages
    assert list(itertools.chain(*pages)) == ids[::-1], (pages, ids)


def check_tail(api, ids, live):
    """What a tail reads from the beginning is what another one saw live."""

    def read(request):
        return list(api.call("EventLogService/TailEventLogs", {"stopWhenCaughtUp": True, **request}))

    def changes_of(messages):
        kinds = [message.WhichOneof("message") for message in messages]
        batches = len(kinds) - 2
        assert kinds == ["opened", *["event_logs"] * batches, "caught_up"], kinds
        return [change for message in messages for change in message.event_logs.changes]

    messages = read({"position": "TAIL_START_EARLIEST", "maxBatchSize": 5})
    changes = changes_of(messages)
    assert changes == live, (changes, live)
    sequences = [change.sequence for change in changes]
    first = sequences[0]
    assert sequences == list(range(first, first + 2 * len(ids))), sequences
    accepted = [c.event_log.event_id for c in changes if c.kind == kind(c, "CHANGE_KIND_ACCEPTED")]
    assert accepted == ids, (accepted, ids)
    settled = [c.event_log.event_id for c in changes if c.kind == kind(c, "CHANGE_KIND_SETTLED")]
    assert sorted(settled) == sorted(ids), (settled, ids)

    resumed = changes_of(read({"resumeToken": messages[1].resume_token}))
    assert [change.sequence for change in resumed] == sequences[5:], resumed


def check_drain(api, process, tail):
    """SIGTERM ends an open tail with a reason, and the process with 0."""
    process.send_signal(signal.SIGTERM)
    api.expect_failure(grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING", lambda: list(tail))
    code = process.wait(timeout=DRAIN_DEADLINE)
    assert code == 0, f"exit code {code}"


def run(binary):
    with (
        tempfile.TemporaryDirectory() as directory,
        Receiver() as receiver,
        server(binary, directory) as (process, address),
        grpc.insecure_channel(address) as channel,
    ):
        api = Api(channel)
        check_health_and_reflection(api)
        check_faults(api, receiver.url)

        definition = {
            "name": "round",
            "eventNames": ["pointsIssued"],
            "destination": {"http": {"url": receiver.url}},
        }
        webhook = api.call("WebhookService/CreateWebhook", {"webhook": definition}).webhook
        # Open to the end: it shows what is settled, and how a drain looks.
        earliest = {"position": "TAIL_START_EARLIEST"}
        tail = api.call("EventLogService/TailEventLogs", earliest, timeout=5 * DEADLINE)
        ids = publish(api)
        check_deliveries(receiver, webhook.webhook_id, ids)
        live = follow(tail, len(ids))
        assert receiver.received.empty(), "more was delivered than was published"
        check_log(api, webhook.webhook_id, ids)
        check_tail(api, ids, live)
        check_drain(api, process, tail)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    run(sys.argv[1])
    print("the Python round is complete")
