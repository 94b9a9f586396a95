// A destination that verifies what it receives with the Standard Webhooks library for
// JavaScript, and with node's own cryptography where the library has nothing.
//
//   node receiver.mjs FOLDER
//
// FOLDER has the library in its node_modules. The first line on standard output is the
// port. Each line on standard input asks about the next request to a path, with the
// keys that it must verify with; one line answers it.

import { strict as assert } from "node:assert";
import { createPublicKey, verify as verifySignature } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(join(process.argv[2], "package.json"));
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

// The library allows five minutes.
const TOO_LONG = 6 * 60 * 1000;

// By path: requests that nobody asked about, or one who waits for the next.
const arrived = new Map();

function queue(path) {
  if (!arrived.has(path)) arrived.set(path, { requests: [], waiting: [] });
  return arrived.get(path);
}

function receive(path, request) {
  const { requests, waiting } = queue(path);
  if (waiting.length > 0) waiting.shift()(request);
  else requests.push(request);
}

function next(path) {
  const { requests, waiting } = queue(path);
  if (requests.length > 0) return Promise.resolve(requests.shift());
  return new Promise((resolve) => waiting.push(resolve));
}

function refused(verify, reason) {
  assert.throws(verify, (error) => error instanceof WebhookVerificationError && reason.test(error.message));
}

function at(time, action) {
  const now = Date.now;
  Date.now = () => time;
  try {
    action();
  } finally {
    Date.now = now;
  }
}

// `body` is a Buffer, as frameworks hand raw bodies over.
function verifyShared(secret, { body, headers }) {
  const webhook = new Webhook(secret);
  assert.deepEqual(webhook.verify(body, headers), JSON.parse(body.toString()));
  const mismatch = /No matching signature/;
  refused(() => webhook.verify(Buffer.concat([body, Buffer.from(" ")]), headers), mismatch);
  refused(() => webhook.verify(body, { ...headers, "webhook-id": "another" }), mismatch);
  const later = String(Number(headers["webhook-timestamp"]) + 1);
  refused(() => webhook.verify(body, { ...headers, "webhook-timestamp": later }), mismatch);
  at(Date.now() + TOO_LONG, () => refused(() => webhook.verify(body, headers), /too old/));
  at(Date.now() - TOO_LONG, () => refused(() => webhook.verify(body, headers), /too new/));
}

// The library knows no v1a, so by the specification: a key in base64, and a signature
// of the same text that v1 signs.
function verifyPublic(publicKey, { body, headers }) {
  const [prefix, x] = publicKey.split("_");
  assert.equal(prefix, "whpk");
  const jwk = { kty: "OKP", crv: "Ed25519", x: Buffer.from(x, "base64").toString("base64url") };
  const key = createPublicKey({ key: jwk, format: "jwk" });
  const start = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`;
  const text = Buffer.concat([Buffer.from(start), body]);
  const signatures = headers["webhook-signature"].split(" ").map((each) => each.split(","));
  assert(signatures.every(([version]) => version === "v1a"), headers["webhook-signature"]);
  const matches = (signed) =>
    signatures.some(([, signature]) => verifySignature(null, signed, key, Buffer.from(signature, "base64")));
  if (!matches(text)) throw new WebhookVerificationError("No matching signature found");
  assert(!matches(Buffer.concat([text, Buffer.from(" ")])), "another body verifies, too");
}

function verify(key, request) {
  return key.startsWith("whpk_") ? verifyPublic(key, request) : verifyShared(key, request);
}

async function answer({ path, live, dead }) {
  const request = await next(path);
  for (const key of live) verify(key, request);
  for (const key of dead) refused(() => verify(key, request), /No matching signature/);
  return { body: request.body.toString("base64"), verified: live.length, refused: dead.length };
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  receive(request.url, { headers: request.headers, body: Buffer.concat(chunks) });
  response.writeHead(204).end();
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line)).catch((error) => ({ error: error.stack }))));
}
process.exit();
