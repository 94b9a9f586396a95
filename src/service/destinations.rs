//! URLs that requests name: whether they can be sent to, and whether they may be.

use crate::{
    domain::{
        error::{Faults, Reason},
        limits,
    },
    sender::{HttpSender, Target, TargetError},
};

/// Reads a URL. One that is missing or too long is a fault of the form, which the domain
/// has told already.
pub(super) fn parse(field: &str, url: &str, faults: &mut Faults) -> Option<Target> {
    if !(1..=limits::URL_BYTES).contains(&url.len()) {
        return None;
    }
    let fault = match Target::parse(url) {
        Ok(target) => return Some(target),
        Err(fault) => fault,
    };
    let reason = match fault {
        TargetError::Scheme => Reason::DestinationForbidden,
        _ => Reason::FieldInvalid,
    };
    faults.add(field, reason, fault.to_string());
    None
}

/// Asks the address guard. May take two seconds, where a name is slow to resolve.
pub(super) async fn check(
    sender: &HttpSender,
    field: &str,
    target: Option<&Target>,
    faults: &mut Faults,
) {
    if let Some(target) = target
        && let Err(fault) = sender.check(target).await
    {
        faults.add(field, Reason::DestinationForbidden, fault.to_string());
    }
}
