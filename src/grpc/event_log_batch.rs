//! `EventLogBatch` of the contract, in a form that tails can share.
//!
//! On the wire it is what the contract says. In memory it is either changes, as a client
//! gets them, or pieces that are encoded already: many tails send the same changes, and
//! encoding them once for each was most of what following cost.

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, message, skip_field},
};

use super::proto::EventLogChange;

/// The number of the field `changes`.
const CHANGES: u32 = 1;

/// One or more changes, in log order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventLogBatch {
    /// The changes; `resume_token` of the message stands after the last one. In what this
    /// server sends some may be encoded already, and come before these.
    pub changes: Vec<EventLogChange>,
    encoded: Vec<Bytes>,
}

impl EventLogBatch {
    /// Of changes that `encode_change` has encoded.
    pub(super) fn encoded(encoded: Vec<Bytes>) -> Self {
        Self { changes: Vec::new(), encoded }
    }

    /// Appends a change as it stands in a batch.
    pub(super) fn encode_change(change: &EventLogChange, bytes: &mut Vec<u8>) {
        message::encode(CHANGES, change, bytes);
    }
}

impl From<Vec<EventLogChange>> for EventLogBatch {
    fn from(changes: Vec<EventLogChange>) -> Self {
        Self { changes, encoded: Vec::new() }
    }
}

impl Message for EventLogBatch {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for bytes in &self.encoded {
            buf.put_slice(bytes);
        }
        message::encode_repeated(CHANGES, &self.changes, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != CHANGES {
            return skip_field(wire_type, tag, buf, ctx);
        }
        message::merge_repeated(wire_type, &mut self.changes, buf, ctx).map_err(|mut error| {
            error.push("EventLogBatch", "changes");
            error
        })
    }

    fn encoded_len(&self) -> usize {
        let encoded: usize = self.encoded.iter().map(Bytes::len).sum();
        encoded + message::encoded_len_repeated(CHANGES, &self.changes)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::proto::{TailEventLogsResponse, tail_event_logs_response as response};

    fn change(sequence: i64) -> EventLogChange {
        EventLogChange { sequence, kind: 3, ..Default::default() }
    }

    #[test]
    fn encoded_pieces_are_read_as_changes() {
        let piece = |sequences: &[i64]| {
            let mut bytes = Vec::new();
            for sequence in sequences {
                EventLogBatch::encode_change(&change(*sequence), &mut bytes);
            }
            Bytes::from(bytes)
        };
        let response = |batch| TailEventLogsResponse {
            resume_token: "t".into(),
            message: Some(response::Message::EventLogs(batch)),
        };
        let encoded = response(EventLogBatch::encoded(vec![piece(&[1, 2]), piece(&[5])]));
        let typed = response([1, 2, 5].map(change).to_vec().into());
        let bytes = encoded.encode_to_vec();
        assert_eq!(bytes, typed.encode_to_vec());
        assert_eq!(TailEventLogsResponse::decode(&*bytes).expect("is one"), typed);
    }

    #[test]
    fn fields_that_are_not_known_are_skipped() {
        let mut bytes = EventLogBatch::from(vec![change(1)]).encode_to_vec();
        bytes.extend([0x10, 7]);
        let batch = EventLogBatch::decode(&*bytes).expect("is one");
        assert_eq!(batch, vec![change(1)].into());
        let wrong = EventLogBatch::decode(&[0x08, 7][..]).expect_err("is no message");
        assert!(wrong.to_string().contains("EventLogBatch.changes"), "{wrong}");
    }
}
