//! Events and deliveries in the order of their ingestion, by tenant and by webhook. On
//! PostgreSQL that is an index. In a file entries are filed later (see `writer::filing`):
//! what has none is looked for in the table itself, from the first event on that has none.

use super::dialect::Dialect;

/// Where rows are found: each in one of the places of its table.
pub(super) struct Place {
    /// What is read, to which more may be joined.
    pub(super) from: &'static str,
    /// Where the time, and the keys that go with it, are read in order.
    pub(super) by: &'static str,
    /// What is to hold of the rows.
    pub(super) only: &'static str,
}

/// Events, where another index leads to them.
pub(super) const EVENTS: Place = Place { from: "events e", by: "e", only: "TRUE" };
const DELIVERIES: Place = Place { from: "deliveries d", by: "d", only: "TRUE" };

impl Dialect {
    /// The places of events, which are called `e`.
    pub(super) fn events_ingested(self) -> &'static [Place] {
        match self {
            Self::Postgres => &[EVENTS],
            Self::Sqlite => &[
                Place {
                    from: "events_ingested i CROSS JOIN events e ON e.event_key = i.event_key",
                    by: "i",
                    only: "TRUE",
                },
                Place { only: "e.event_key > (SELECT events FROM filed)", ..EVENTS },
            ],
        }
    }

    /// The places of deliveries, which are called `d`.
    pub(super) fn deliveries_ingested(self) -> &'static [Place] {
        match self {
            Self::Postgres => &[DELIVERIES],
            Self::Sqlite => &[
                Place {
                    from: "deliveries_ingested i CROSS JOIN deliveries d
                           ON d.event_key = i.event_key AND d.webhook_key = i.webhook_key",
                    by: "i",
                    only: "TRUE",
                },
                Place { only: "d.event_key > (SELECT deliveries FROM filed)", ..DELIVERIES },
            ],
        }
    }
}

/// A query over all of these places.
pub(super) fn everywhere(places: &[Place], query: impl Fn(&Place) -> String) -> String {
    places.iter().map(query).collect::<Vec<_>>().join(" UNION ALL ")
}
