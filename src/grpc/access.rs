//! Who may call what: the permission that each RPC needs. What is not in this table is
//! not served.

use crate::domain::{access::Access, permission::Permission};

use Access::{Known, Needs, Open};
use Permission::{
    Admin, EventLogsRead, EventLogsWrite, EventMetadataWrite, EventsPublish, WebhooksRead,
    WebhooksWrite,
};

/// All RPCs by path. Beyond it, GetWebhook needs secrets-read for `reveal_secrets`, and
/// ListTenants a key of all tenants.
pub const ACCESS: &[(&str, Access)] = &[
    ("/grpc.health.v1.Health/Check", Open),
    ("/grpc.health.v1.Health/Watch", Open),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Known),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Known),
    ("/tidings.v1.ApiKeyService/CreateApiKey", Needs(Admin)),
    ("/tidings.v1.ApiKeyService/ListApiKeys", Needs(Admin)),
    ("/tidings.v1.ApiKeyService/RevokeApiKey", Needs(Admin)),
    ("/tidings.v1.DivertedEventService/GetDivertedEvent", Needs(EventLogsRead)),
    ("/tidings.v1.DivertedEventService/ListDivertedEvents", Needs(EventLogsRead)),
    ("/tidings.v1.DivertedEventService/ReplayDivertedEvents", Needs(EventLogsWrite)),
    ("/tidings.v1.DivertedEventService/DiscardDivertedEvents", Needs(EventLogsWrite)),
    ("/tidings.v1.DivertedEventService/GetDivertedEventJob", Needs(EventLogsRead)),
    ("/tidings.v1.DivertedEventService/ListDivertedEventJobs", Needs(EventLogsRead)),
    ("/tidings.v1.DivertedEventService/CancelDivertedEventJob", Needs(EventLogsWrite)),
    ("/tidings.v1.EventLogService/GetEventLog", Needs(EventLogsRead)),
    ("/tidings.v1.EventLogService/ListEventLogs", Needs(EventLogsRead)),
    ("/tidings.v1.EventLogService/GetDeliveryStats", Needs(EventLogsRead)),
    ("/tidings.v1.EventLogService/RetryDelivery", Needs(EventLogsWrite)),
    ("/tidings.v1.EventLogService/TailEventLogs", Needs(EventLogsRead)),
    ("/tidings.v1.EventMetadataService/CreateEventMetadata", Needs(EventMetadataWrite)),
    ("/tidings.v1.EventMetadataService/GetEventMetadata", Needs(WebhooksRead)),
    ("/tidings.v1.EventMetadataService/ListEventMetadata", Needs(WebhooksRead)),
    ("/tidings.v1.EventMetadataService/UpdateEventMetadata", Needs(EventMetadataWrite)),
    ("/tidings.v1.EventMetadataService/DeleteEventMetadata", Needs(EventMetadataWrite)),
    ("/tidings.v1.EventService/PublishEvent", Needs(EventsPublish)),
    ("/tidings.v1.EventService/BatchPublishEvents", Needs(EventsPublish)),
    ("/tidings.v1.EventService/StreamPublishEvents", Needs(EventsPublish)),
    ("/tidings.v1.EventService/ExplainEvent", Needs(EventLogsRead)),
    ("/tidings.v1.EventService/GetEvent", Needs(EventLogsRead)),
    ("/tidings.v1.TenantService/GetTenant", Needs(WebhooksRead)),
    ("/tidings.v1.TenantService/ListTenants", Needs(WebhooksRead)),
    ("/tidings.v1.TenantService/UpdateTenant", Needs(Admin)),
    ("/tidings.v1.WebhookService/CreateWebhook", Needs(WebhooksWrite)),
    ("/tidings.v1.WebhookService/GetWebhook", Needs(WebhooksRead)),
    ("/tidings.v1.WebhookService/ListWebhooks", Needs(WebhooksRead)),
    ("/tidings.v1.WebhookService/UpdateWebhook", Needs(WebhooksWrite)),
    ("/tidings.v1.WebhookService/DeleteWebhook", Needs(WebhooksWrite)),
    ("/tidings.v1.WebhookService/SuspendWebhook", Needs(WebhooksWrite)),
    ("/tidings.v1.WebhookService/UnsuspendWebhook", Needs(WebhooksWrite)),
    ("/tidings.v1.WebhookService/RotateWebhookSecret", Needs(WebhooksWrite)),
    ("/tidings.v1.WebhookService/TestWebhook", Needs(WebhooksWrite)),
];

/// What the RPC of that path needs; absent where there is no such RPC.
pub(super) fn of(path: &str) -> Option<Access> {
    ACCESS.iter().find(|(rpc, _)| *rpc == path).map(|(_, access)| *access)
}

/// RPCs whose answers may last for days: they end when their caller's credentials do.
const STREAMS: [&str; 2] =
    ["/tidings.v1.EventLogService/TailEventLogs", "/tidings.v1.EventService/StreamPublishEvents"];

/// Whether the answers of that RPC are a stream.
pub(super) fn is_stream(path: &str) -> bool {
    STREAMS.contains(&path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The paths of all RPCs of these descriptors.
    fn paths(encoded: &[u8]) -> Vec<String> {
        let set = FileDescriptorSet::decode(encoded).expect("descriptors");
        let mut paths = Vec::new();
        for file in &set.file {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                paths.extend(service.method.iter().map(|rpc| format!("/{name}/{}", rpc.name())));
            }
        }
        paths
    }

    #[test]
    fn every_rpc_has_one_entry_and_every_entry_an_rpc() {
        let sets = [
            crate::grpc::DESCRIPTOR,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let served: BTreeSet<String> = sets.into_iter().flat_map(paths).collect();
        let listed: BTreeSet<String> = ACCESS.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed, served);
        assert_eq!(listed.len(), ACCESS.len(), "no entry twice");
    }

    #[test]
    fn streams_are_those_of_the_contract() {
        let set = FileDescriptorSet::decode(crate::grpc::DESCRIPTOR).expect("descriptors");
        let services = set.file.iter().flat_map(|file| &file.service);
        let streams = services.flat_map(|service| &service.method).filter(|m| m.server_streaming());
        let mut names: Vec<_> = streams.map(|rpc| rpc.name().to_owned()).collect();
        names.sort_unstable();
        let listed = STREAMS.map(|path| path.rsplit_once('/').map_or("", |(_, rpc)| rpc));
        let mut listed = listed.to_vec();
        listed.sort_unstable();
        assert_eq!(listed, names);
    }

    #[test]
    fn the_documentation_shows_what_each_rpc_needs() {
        let text = include_str!("../../docs/credentials.md");
        for (path, access) in ACCESS {
            let needs = access.documented();
            let rpc = path.rsplit_once('/').map_or(*path, |(_, rpc)| rpc);
            let service = path.split('/').nth(1).and_then(|name| name.rsplit('.').next());
            let row = format!("| {} | {rpc} | {needs} |", service.unwrap_or_default());
            assert!(text.contains(&row), "docs/credentials.md has no line {row:?}");
        }
    }
}
