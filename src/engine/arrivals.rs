//! What commits bring to the lanes: new deliveries, and those that were put back.

use std::sync::Arc;

use super::{
    delivery::{Delivery, Outgoing},
    dispatcher::Dispatcher,
    lane::Lane,
};
use crate::{
    domain::id::{EventKey, WebhookKey},
    store::{Arrival, NewDelivery},
};

impl Dispatcher {
    /// Takes over what a commit brought, in the order of the journal.
    pub(super) fn accept(&mut self, arrivals: &[Arrival]) {
        let mut outgoing: Option<(EventKey, Arc<Outgoing>)> = None;
        for arrival in arrivals {
            let key = match arrival {
                Arrival::New(new) => {
                    // Deliveries of one event stand together and share it.
                    let shared = match &outgoing {
                        Some((key, shared)) if *key == new.event_key => Arc::clone(shared),
                        _ => Outgoing::new(Arc::clone(&new.event)),
                    };
                    outgoing = Some((new.event_key, Arc::clone(&shared)));
                    self.accept_new(new, shared)
                }
                Arrival::Stored { webhook_key, position, order } => {
                    self.lane(*webhook_key).leave(*position, *order);
                    *webhook_key
                }
            };
            let stopped =
                |lane: &Lane| lane.config.as_ref().is_some_and(|c| !c.webhook.takes_events());
            if self.lanes.get(&key).is_some_and(stopped) {
                // Committed just before the webhook was stopped.
                self.forget_queued(key);
                self.divert(key);
            }
            self.touch(key);
        }
    }

    fn accept_new(&mut self, new: &NewDelivery, outgoing: Arc<Outgoing>) -> WebhookKey {
        let key = new.target.webhook_key;
        let room = self.room(key);
        self.bytes += self.lane(key).accept(Delivery::accepted(new, outgoing), room);
        self.note_sla(key, new.target.sla_due_time);
        key
    }
}
