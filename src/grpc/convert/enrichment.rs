//! Which enrichment blocks a webhook asks for.

use crate::{domain::enrichment::Enrichment, grpc::proto};

/// Reads what a webhook asks for; an absent message asks for nothing.
pub(crate) fn read_enrichment(given: Option<&proto::Enrichment>) -> Enrichment {
    let Some(given) = given else { return Enrichment::default() };
    let proto::Enrichment {
        till_details,
        store_details,
        awarded_reference,
        available_points_balance,
        customer_identifiers,
    } = given;
    Enrichment {
        till_details: *till_details,
        store_details: *store_details,
        awarded_reference: *awarded_reference,
        available_points_balance: *available_points_balance,
        customer_identifiers: customer_identifiers.clone(),
    }
}

/// What a webhook asks for; absent where that is nothing.
pub(crate) fn show_enrichment(enrichment: &Enrichment) -> Option<proto::Enrichment> {
    let Enrichment {
        till_details,
        store_details,
        awarded_reference,
        available_points_balance,
        customer_identifiers,
    } = enrichment;
    (!enrichment.is_none()).then(|| proto::Enrichment {
        till_details: *till_details,
        store_details: *store_details,
        awarded_reference: *awarded_reference,
        available_points_balance: *available_points_balance,
        customer_identifiers: customer_identifiers.clone(),
    })
}
