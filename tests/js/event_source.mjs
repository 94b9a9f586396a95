// A page that follows the live tail: the EventSource of browsers, as its package for node
// has it. It connects again by itself, and says then which event was its last one.
//
//   node event_source.mjs FOLDER URL
//
// FOLDER has the package in its node_modules. Each event is one line on standard output,
// as is each connection.

import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, url] = process.argv.slice(2);
const { EventSource } = createRequire(join(folder, "package.json"))("eventsource");

function tell(said) {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

const source = new EventSource(url);
source.onopen = () => tell({ type: "open" });
source.onerror = () => {
  // One that does not connect again was refused.
  if (source.readyState === EventSource.CLOSED) process.exit(1);
};
for (const name of ["message", "caughtUp", "gap", "failure"]) {
  source.addEventListener(name, ({ type, lastEventId, data }) => {
    tell({ type, id: lastEventId, data: JSON.parse(data) });
  });
}
