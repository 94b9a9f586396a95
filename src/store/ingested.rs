//! Events and deliveries in the order of their ingestion, by tenant and by webhook. On
//! PostgreSQL that is an index. In a file entries are filed later (see `writer::filing`):
//! what has none is looked for in the table itself, from the first event on that has none.

use super::dialect::Dialect;

/// Where rows are found: each in one of the sources of its table.
pub(super) struct Source {
    /// What is read, to which more may be joined.
    pub(super) from: &'static str,
    /// Where the time, and the keys that go with it, are read in order.
    pub(super) by: &'static str,
    /// What is to hold of the rows.
    pub(super) only: &'static str,
}

/// Events, where another index leads to them.
pub(super) const EVENTS: Source = Source { from: "events e", by: "e", only: "TRUE" };
const DELIVERIES: Source = Source { from: "deliveries d", by: "d", only: "TRUE" };

impl Dialect {
    /// The sources of events, which are called `e`.
    pub(super) fn events_ingested(self) -> &'static [Source] {
        match self {
            Self::Postgres => &[EVENTS],
            Self::Sqlite => &[
                Source {
                    from: "events_ingested i CROSS JOIN events e ON e.event_key = i.event_key",
                    by: "i",
                    only: "TRUE",
                },
                Source { only: "e.event_key > (SELECT events FROM filed)", ..EVENTS },
            ],
        }
    }

    /// The sources of deliveries, which are called `d`.
    pub(super) fn deliveries_ingested(self) -> &'static [Source] {
        match self {
            Self::Postgres => &[DELIVERIES],
            Self::Sqlite => &[
                Source {
                    from: "deliveries_ingested i CROSS JOIN deliveries d
                           ON d.event_key = i.event_key AND d.webhook_key = i.webhook_key",
                    by: "i",
                    only: "TRUE",
                },
                Source { only: "d.event_key > (SELECT deliveries FROM filed)", ..DELIVERIES },
            ],
        }
    }
}

/// A query over all of these sources.
pub(super) fn everywhere(sources: &[Source], query: impl Fn(&Source) -> String) -> String {
    sources.iter().map(query).collect::<Vec<_>>().join(" UNION ALL ")
}
