//! What a caller needs to be let through to an RPC or a route.

use super::permission::Permission;

/// What a caller needs for an RPC or a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: load balancers ask for the health without credentials.
    Open,
    /// Credentials of any kind: reflection shows nothing but the contract, still only to those
    /// who may use some of it.
    Known,
    /// Credentials with this permission.
    Needs(Permission),
}

#[cfg(test)]
impl Access {
    /// As `docs/credentials.md` writes it.
    pub(crate) fn documented(self) -> String {
        match self {
            Self::Open => "nothing".to_owned(),
            Self::Known => "any credentials".to_owned(),
            Self::Needs(permission) => format!("`{permission}`"),
        }
    }
}
