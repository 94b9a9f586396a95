//! Who did what, and when.

use super::time::show_timestamp;
use crate::{
    domain::actor::{Actor, Attribution},
    grpc::proto,
};

/// An attribution for the wire.
pub(crate) fn show_attribution(attribution: &Attribution) -> proto::Attribution {
    let Attribution { create_time, update_time, created_by, updated_by } = attribution;
    proto::Attribution {
        create_time: Some(show_timestamp(*create_time)),
        update_time: Some(show_timestamp(*update_time)),
        created_by: Some(show_actor(created_by)),
        updated_by: Some(show_actor(updated_by)),
    }
}

/// An actor as a caller names it.
pub(crate) fn read_actor(actor: proto::Actor) -> Actor {
    let proto::Actor { id, code, description, name, r#type } = actor;
    Actor { id, code, description, name, kind: r#type }
}

/// An actor for the wire.
pub(crate) fn show_actor(actor: &Actor) -> proto::Actor {
    let Actor { id, code, description, name, kind } = actor.clone();
    proto::Actor { id, code, description, name, r#type: kind }
}
