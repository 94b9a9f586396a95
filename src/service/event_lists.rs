//! Lists of events, whether any webhook wanted them or not.

use super::{diverted_events::Page, events::Events, paging::page_size, scope::Scope};
use crate::{
    domain::{
        error::{Faults, Result},
        event::Event,
        limits, text,
        time::Timestamp,
        token::{Fingerprint, page_token, read_page_token},
    },
    store::{EventCursor, EventScan},
};

/// Events that a list looks at for one page, however few of them are of the type: a page
/// may be short, or empty, and still have a next one.
const SCAN: usize = 20_000;
/// Events looked at at a time,
const CHUNK: usize = 1_000;
/// and read with their payloads.
const FULL_CHUNK: usize = 8;
/// A page ends once it has so many bytes of payloads.
const FULL_BYTES: usize = 2 * 1024 * 1024;

/// Which events a list has.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// At most this many; 50 when 0, capped at 1000.
    pub page_size: i32,
    /// From the page before.
    pub page_token: String,
    /// Of this request; of any when empty.
    pub request_id: String,
    /// Of this type; of any when empty.
    pub event_name: String,
    /// Ingested at or after.
    pub start_time: Option<Timestamp>,
    /// Ingested before.
    pub end_time: Option<Timestamp>,
    /// Faults that the transport found while reading the request.
    pub faults: Faults,
}

impl Events {
    /// Lists events with their payloads, oldest first.
    ///
    /// # Errors
    ///
    /// Faults of the query, `PAGE_TOKEN_INVALID`, `STORE_UNAVAILABLE`.
    pub async fn list(&self, scope: &Scope, mut query: EventQuery) -> Result<Page<Event>> {
        let mut faults = std::mem::take(&mut query.faults);
        let size = page_size(query.page_size, &mut faults);
        text::check(&mut faults, "request_id", &query.request_id, limits::NAME_CHARS);
        if !query.event_name.is_empty() {
            text::check_event_name(&mut faults, "event_name", &query.event_name);
        }
        if let (Some(start), Some(end)) = (query.start_time, query.end_time)
            && start >= end
        {
            faults.invalid("ingest_time.end_time", "must be after start_time");
        }
        faults.check()?;
        let bound = (&query.request_id, &query.event_name, query.start_time, query.end_time);
        let fingerprint = Fingerprint::of(&("events", &scope.tenant_id, bound));
        let after: Option<EventCursor> = read_page_token(&query.page_token, fingerprint)?;
        let (places, mut next) = self.places(scope, &query, after, size).await?;

        let (mut items, mut bytes) = (Vec::new(), 0);
        for (i, chunk) in places.chunks(FULL_CHUNK).enumerate() {
            if bytes >= FULL_BYTES {
                // The rest comes with the next page.
                next = places.get(i * FULL_CHUNK - 1).copied();
                break;
            }
            let read = self.store.events_at(chunk).await?;
            bytes += read.iter().map(Event::bytes).sum::<usize>();
            items.extend(read);
        }
        let next_page_token = next.map_or_else(String::new, |at| page_token(fingerprint, &at));
        Ok(Page { items, next_page_token })
    }

    /// Where the events of a page are, and after which place the next one begins.
    async fn places(
        &self,
        scope: &Scope,
        query: &EventQuery,
        mut after: Option<EventCursor>,
        size: usize,
    ) -> Result<(Vec<EventCursor>, Option<EventCursor>)> {
        let (mut places, mut seen) = (Vec::new(), 0);
        loop {
            let scan = EventScan {
                request_id: &query.request_id,
                start: query.start_time,
                end: query.end_time,
                after,
                limit: CHUNK,
            };
            let found = self.store.scan_events(scope.tenant_key, scan).await?;
            let last = found.len() < CHUNK;
            seen += found.len();
            for (place, event_name) in found {
                if places.len() == size {
                    return Ok((places, after));
                }
                after = Some(place);
                if query.event_name.is_empty() || query.event_name == event_name {
                    places.push(place);
                }
            }
            if last {
                return Ok((places, None));
            }
            if seen >= SCAN {
                return Ok((places, after));
            }
        }
    }
}
