//! Who may call what: the permission that each route needs. What is not in this table is
//! not served, and what is in it is: otherwise the server does not start.

use http::Method;

use crate::domain::{access::Access, permission::Permission};

use Access::{Needs, Open};
use Permission::{
    EventLogsRead, EventLogsWrite, EventMetadataWrite, EventsPublish, WebhooksRead, WebhooksWrite,
};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// All routes by method and path. HEAD is answered as GET is.
pub const ACCESS: &[(Method, &str, Access)] = &[
    (GET, "/openapi.json", Open),
    // v3
    (GET, "/v3/webHooks", Needs(WebhooksRead)),
    (POST, "/v3/webHooks", Needs(WebhooksWrite)),
    (GET, "/v3/webHooks/{webHookId}", Needs(WebhooksRead)),
    (PUT, "/v3/webHooks/{webHookId}", Needs(WebhooksWrite)),
    (DELETE, "/v3/webHooks/{webHookId}", Needs(WebhooksWrite)),
    (GET, "/v3/webHooks/eventMetaData", Needs(WebhooksRead)),
    (POST, "/v3/webHooks/eventMetaData", Needs(EventMetadataWrite)),
    (GET, "/v3/webHooks/eventMetaData/{eventName}", Needs(WebhooksRead)),
    (GET, "/v3/webHooks/eventLog/tail", Needs(EventLogsRead)),
    (GET, "/v3/webHooks/eventLog/{eventId}", Needs(EventLogsRead)),
    (GET, "/v3/webHooks/eventLog/requestId/{requestId}", Needs(EventLogsRead)),
    (GET, "/v3/webHooks/eventLog/refId/{refId}", Needs(EventLogsRead)),
    (POST, "/v3/events", Needs(EventsPublish)),
    (GET, "/v3/events/consumer-groups/{consumerGroupId}/metrics", Needs(EventLogsRead)),
    // The credentials are the body, and the handler looks at them.
    (POST, "/v3/oauth/token/generate", Open),
    // Preflights: browsers send them without credentials. Answered where `cors_origins` are
    // configured.
    (Method::OPTIONS, "/v3/{*path}", Open),
    // SuperOffice
    (GET, "/api/v1/Webhook", Needs(WebhooksRead)),
    (POST, "/api/v1/Webhook", Needs(WebhooksWrite)),
    (GET, "/api/v1/Webhook/default", Needs(WebhooksRead)),
    (POST, "/api/v1/Webhook/Test", Needs(WebhooksWrite)),
    (GET, "/api/v1/Webhook/{id}", Needs(WebhooksRead)),
    (PUT, "/api/v1/Webhook/{id}", Needs(WebhooksWrite)),
    (PATCH, "/api/v1/Webhook/{id}", Needs(WebhooksWrite)),
    (DELETE, "/api/v1/Webhook/{id}", Needs(WebhooksWrite)),
    (GET, "/api/v1/Webhook/{id}/LastError", Needs(EventLogsRead)),
    (POST, "/api/v1/Webhook/{eventName}/{primaryKey}", Needs(EventsPublish)),
    // Sonar
    (GET, "/api/v1/webhooks", Needs(WebhooksRead)),
    (POST, "/api/v1/webhooks", Needs(WebhooksWrite)),
    (GET, "/api/v1/webhooks/{id}", Needs(WebhooksRead)),
    (PUT, "/api/v1/webhooks/{id}", Needs(WebhooksWrite)),
    (PATCH, "/api/v1/webhooks/{id}", Needs(WebhooksWrite)),
    (DELETE, "/api/v1/webhooks/{id}", Needs(WebhooksWrite)),
    // Socotra
    (POST, "/event/{tenantLocator}/webhooks", Needs(WebhooksWrite)),
    (GET, "/event/{tenantLocator}/webhooks/list", Needs(WebhooksRead)),
    (GET, "/event/{tenantLocator}/webhooks/{locator}", Needs(WebhooksRead)),
    (PATCH, "/event/{tenantLocator}/webhooks/{locator}", Needs(WebhooksWrite)),
    (DELETE, "/event/{tenantLocator}/webhooks/{locator}", Needs(WebhooksWrite)),
    (PATCH, "/event/{tenantLocator}/webhooks/{locator}/unsuspend", Needs(WebhooksWrite)),
    (GET, "/event/{tenantLocator}/diverted-events/list", Needs(EventLogsRead)),
    (GET, "/event/{tenantLocator}/diverted-events/{locator}", Needs(EventLogsRead)),
    (DELETE, "/event/{tenantLocator}/diverted-events/{locator}", Needs(EventLogsWrite)),
    (POST, "/event/{tenantLocator}/diverted-events/{locator}/resend", Needs(EventLogsWrite)),
    (GET, "/event/{tenantLocator}/events/list", Needs(EventLogsRead)),
    (GET, "/event/{tenantLocator}/events/request/{requestLocator}", Needs(EventLogsRead)),
    (GET, "/event/{tenantLocator}/events/{locator}", Needs(EventLogsRead)),
];

/// What the route of that method and path needs; absent where there is no such route.
pub(super) fn of(method: &Method, path: &str) -> Option<Access> {
    let route = ACCESS.iter().find(|(verb, template, _)| verb == method && *template == path);
    route.map(|(_, _, access)| *access)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_route_has_two_entries() {
        let routes: HashSet<_> = ACCESS.iter().map(|(method, path, _)| (method, path)).collect();
        assert_eq!(routes.len(), ACCESS.len());
    }

    #[test]
    fn the_documentation_shows_what_each_route_needs() {
        let text = include_str!("../../docs/credentials.md");
        for (method, path, access) in ACCESS {
            let row = format!("| {method} | `{path}` | {} |", access.documented());
            assert!(text.contains(&row), "docs/credentials.md has no line {row:?}");
        }
    }
}
