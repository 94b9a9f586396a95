//! How much of what waits a lane may hold in memory.

use super::Limits;

/// How much more a lane may hold. What is read may pass the bytes by one delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) deliveries: usize,
    pub(super) bytes: usize,
}

impl Room {
    /// The room of a lane that holds `held` deliveries and bytes, where all lanes hold
    /// `total` bytes together, of which its share is one of `sharers`: tenants share
    /// alike, and lanes of a tenant.
    pub(super) fn new(limits: &Limits, held: (usize, usize), total: usize, sharers: usize) -> Self {
        let (count, bytes) = held;
        let left = limits.total_bytes.saturating_sub(total);
        // However much the others hold: those that are dead hold it for long.
        let fair = (limits.total_bytes / sharers.max(1)).saturating_sub(bytes);
        let bytes = limits.lane_bytes.saturating_sub(bytes).min(left.max(fair));
        let deliveries = limits.lane_deliveries.saturating_sub(count);
        // A lane is never without any delivery.
        let least = usize::from(count == 0);
        Self { deliveries: deliveries.max(least), bytes: bytes.max(least) }
    }

    /// Whether there is none.
    pub(super) fn is_none(self) -> bool {
        self.deliveries == 0 || self.bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_lane_is_without_room_for_a_first_delivery(total: usize, lanes: usize) {
            let room = Room::new(&Limits::default(), (0, 0), total, lanes);
            prop_assert!(room.deliveries > 0 && room.bytes > 0);
        }

        #[test]
        fn lanes_that_take_all_their_room_keep_the_bounds(
            sizes in prop::collection::vec((0..100usize, 300..260_000usize), 1..4_000)
        ) {
            let limits = Limits::default();
            let mut held = [(0, 0); 100];
            let mut total = 0;
            for (lane, size) in sizes {
                let room = Room::new(&limits, held[lane], total, held.len());
                if room.deliveries > 0 && (room.bytes >= size || held[lane].0 == 0) {
                    held[lane] = (held[lane].0 + 1, held[lane].1 + size);
                    total += size;
                }
                prop_assert!(held[lane].0 <= limits.lane_deliveries);
                prop_assert!(held[lane].1 <= limits.lane_bytes);
            }
            // Each lane its fair share, or one delivery, beyond what all may hold.
            prop_assert!(total <= 2 * limits.total_bytes);
        }
    }
}
