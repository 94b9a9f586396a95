//! Who did what, and when.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// A caller as the credentials named it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Actor {
    /// Numeric user id.
    pub id: i64,
    /// Login code.
    pub code: String,
    /// Free description; often empty.
    pub description: String,
    /// Display name.
    pub name: String,
    /// Kind of user, such as `TILL`.
    pub kind: String,
}

impl Actor {
    /// The administrator that every caller is with `--dev`.
    pub fn developer() -> Self {
        Self { code: "dev".into(), name: "Developer".into(), kind: "DEV".into(), ..Self::default() }
    }

    /// The service itself.
    pub fn system() -> Self {
        Self {
            code: "tidings".into(),
            name: "Tidings".into(),
            kind: "SYSTEM".into(),
            ..Self::default()
        }
    }
}

/// Who created and who last changed a resource, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// When it was created.
    pub create_time: Timestamp,
    /// When it was last changed.
    pub update_time: Timestamp,
    /// Who created it.
    pub created_by: Actor,
    /// Who last changed it.
    pub updated_by: Actor,
}

impl Attribution {
    /// Of something that is made now.
    pub fn new(now: Timestamp, actor: Actor) -> Self {
        Self { create_time: now, update_time: now, created_by: actor.clone(), updated_by: actor }
    }

    /// After a change. A clock set back never makes it older than it was.
    #[must_use]
    pub fn changed(&self, now: Timestamp, actor: Actor) -> Self {
        Self { update_time: now.max(self.update_time), updated_by: actor, ..self.clone() }
    }
}
