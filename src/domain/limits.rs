//! The limits, each named once. What a configuration can change is its default here.

use std::time::Duration;

/// Characters of a tenant id.
pub const TENANT_ID_CHARS: usize = 64;
/// Characters of names, ref ids, request ids and other short texts.
pub const NAME_CHARS: usize = 255;
/// Characters of descriptions and messages.
pub const DESCRIPTION_CHARS: usize = 4_096;
/// Bytes of one gRPC request.
pub const REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// How long the body of an HTTP request may take to come.
pub const BODY_SPAN: Duration = Duration::from_secs(30);
/// Faults of one request that are kept; the others are counted. An answer has room for fewer.
pub const FAULTS: usize = 200;
/// Bytes of one event's payload.
pub const PAYLOAD_BYTES: usize = 256 * 1024;
/// Levels of nesting of a payload.
pub const PAYLOAD_DEPTH: usize = 128;
/// Bytes of one event's enrichment blocks together, beside the payload.
pub const ENRICHMENT_BYTES: usize = 64 * 1024;
/// Levels of nesting of an enrichment block.
pub const ENRICHMENT_DEPTH: usize = 32;
/// Customer identifiers that one webhook asks for.
pub const CUSTOMER_IDENTIFIERS: usize = 50;
/// Bytes of a webhook's static properties as JSON.
pub const PROPERTIES_BYTES: usize = 16 * 1024;
/// Levels of nesting of static properties.
pub const PROPERTIES_DEPTH: usize = 32;
/// Bytes of one event type's JSON Schema.
pub const SCHEMA_BYTES: usize = 256 * 1024;
/// Event names of one webhook, and of one filter.
pub const EVENT_NAMES: usize = 1_000;
/// Filters of one webhook.
pub const EVENT_FILTERS: usize = 50;
/// Values of one filter of a webhook.
pub const EVENT_FILTER_VALUES: usize = 100;
/// Bytes of the path of a webhook's filter.
pub const EVENT_FILTER_PATH_BYTES: usize = 1_024;
/// Levels of nesting of a value of a webhook's filter.
pub const EVENT_FILTER_DEPTH: usize = 32;
/// Headers of one webhook.
pub const HEADERS: usize = 64;
/// Values of one header.
pub const HEADER_VALUES: usize = 16;
/// Bytes of one header's name and of each of its values.
pub const HEADER_BYTES: usize = 4_096;
/// Bytes of a destination's URL.
pub const URL_BYTES: usize = 2_048;
/// Labels of a webhook, attributes of an event, entries of a filter's map.
pub const LABELS: usize = 64;
/// Addresses that are told of a webhook's suspensions.
pub const NOTIFY_EMAILS: usize = 10;
/// Characters of an e-mail address.
pub const EMAIL_CHARS: usize = 254;
/// Signing secrets of a webhook.
pub const SECRETS: usize = 10;
/// How long older signing secrets keep signing when a rotation does not say.
pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// Waits of a written-out retry schedule.
pub const SCHEDULE_STEPS: usize = 50;
/// Classes of failures that a policy names.
pub const RETRY_ON: usize = 50;
/// Retries of one delivery.
pub const MAX_RETRIES: u32 = 1_000;
/// Deliveries in flight at once to one webhook, at most.
pub const MAX_CONNECTIONS: u32 = 1_000;
/// Deliveries in flight at once to one webhook that does not say.
pub const DEFAULT_MAX_CONNECTIONS: u32 = 10;
/// The longest wait, age or SLA that can be asked for.
pub const LONGEST_SPAN: Duration = Duration::from_secs(365 * 24 * 3600);
/// Limit on one attempt of a webhook that does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest limit on one attempt that can be asked for.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);
/// The shortest limit on one attempt that can be asked for.
pub const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
/// The shortest interval of probes that can be asked for.
pub const SHORTEST_PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Deliveries per second that a webhook can be limited to, at most.
pub const MAX_RATE: f64 = 100_000.0;
/// And at least: one in a day.
pub const MIN_RATE: f64 = 1.0 / 86_400.0;
/// SLA of a webhook that does not say.
pub const DEFAULT_SLA: Duration = Duration::from_secs(3600);
/// Events of one batch.
pub const BATCH_EVENTS: usize = 1_000;
/// Entries of a page that does not say.
pub const DEFAULT_PAGE: usize = 50;
/// Entries of a page, at most.
pub const MAX_PAGE: usize = 1_000;
/// Values of one list in a filter.
pub const FILTER_VALUES: usize = 1_000;
/// Diverted events that a selector names.
pub const DIVERTED_IDS: usize = 1_000;
/// Jobs of one tenant that run at once.
pub const RUNNING_JOBS: usize = 100;
/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_SPAN: Duration = Duration::from_secs(24 * 3600);
/// Bytes of a destination's answer that are kept.
pub const EXCERPT_BYTES: usize = 1_024;
/// Bytes of a destination's answer that are read; the rest is cut off.
pub const ANSWER_BYTES: usize = 64 * 1024;
/// Attempts shown of one delivery record, the last ones.
pub const ATTEMPTS_SHOWN: usize = 50;
/// Keys of one tenant that are not revoked; and of those that cover all tenants.
pub const API_KEYS: i64 = 1_000;
/// Credentials of one request.
pub const CREDENTIALS: usize = 8;
/// How long a session token works.
pub const SESSION_SPAN: Duration = Duration::from_secs(3600);
/// The shortest retention that a tenant can have.
pub const SHORTEST_RETENTION: Duration = Duration::from_secs(3600);
/// The longest retention that a tenant can have.
pub const LONGEST_RETENTION: Duration = Duration::from_secs(3_650 * 24 * 3600);
/// Events per second that a tenant can be limited to, at most.
pub const MAX_EVENT_RATE: f64 = 1_000_000.0;
/// Webhooks of a tenant that does not say.
pub const DEFAULT_MAX_WEBHOOKS: u32 = 100_000;
