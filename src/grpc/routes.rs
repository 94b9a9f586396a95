//! Which paths are served: the mounted services, their reflection, and what
//! answers for all other paths.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};

use axum::Router;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body, codec::CompressionEncoding, server::NamedService};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_reflection::server::{Builder, Error};
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt, service_fn, util::MapResponse};

use super::{
    DESCRIPTOR, Handlers, authorize, drain, fault_details,
    proto::{
        api_key_service_server::ApiKeyServiceServer,
        diverted_event_service_server::DivertedEventServiceServer,
        event_log_service_server::EventLogServiceServer,
        event_metadata_service_server::EventMetadataServiceServer,
        event_service_server::EventServiceServer, tenant_service_server::TenantServiceServer,
        webhook_service_server::WebhookServiceServer,
    },
    status,
};
use crate::{domain::limits, service::auth::Auth};

/// The services of the contract that are mounted, and so shown by reflection.
pub const MOUNTED: [&str; 7] = [
    <WebhookServiceServer<Handlers> as NamedService>::NAME,
    <EventServiceServer<Handlers> as NamedService>::NAME,
    <EventLogServiceServer<Handlers> as NamedService>::NAME,
    <EventMetadataServiceServer<Handlers> as NamedService>::NAME,
    <DivertedEventServiceServer<Handlers> as NamedService>::NAME,
    <ApiKeyServiceServer<Handlers> as NamedService>::NAME,
    <TenantServiceServer<Handlers> as NamedService>::NAME,
];

/// What a client needs beside them: health, and reflection in the version that
/// Python's grpcio still asks for, too.
const SUPPORTING: [&str; 3] = [HEALTH, REFLECTION, REFLECTION_ALPHA];
const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
const REFLECTION_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";

/// Makes a server that takes requests of up to 4 MiB and speaks gzip with
/// clients that do.
macro_rules! server {
    ($server:ident, $services:expr) => {
        $server::from_arc(Arc::clone($services))
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
    };
}

/// All gRPC routes, gRPC-Web included. Once `draining` is cancelled, the streams of
/// health and reflection end as well. Unknown paths are answered by content
/// type: UNIMPLEMENTED to gRPC clients, 404 to others.
pub fn routes(
    services: Handlers,
    health: HealthServer<impl Health>,
    draining: CancellationToken,
) -> Router {
    let auth = services.services.auth.clone();
    let services = Arc::new(services);
    let ours = Mounted { auth, router: Router::new() }
        .add(server!(WebhookServiceServer, &services))
        .add(server!(EventServiceServer, &services))
        .add(server!(EventLogServiceServer, &services))
        .add(server!(EventMetadataServiceServer, &services))
        .add(server!(DivertedEventServiceServer, &services))
        .add(server!(ApiKeyServiceServer, &services))
        .add(server!(TenantServiceServer, &services));
    let all = ours
        .add_foreign(HEALTH, health, &draining)
        .add_foreign(REFLECTION, on_demand(|| reflection().build_v1()), &draining)
        .add_foreign(REFLECTION_ALPHA, on_demand(|| reflection().build_v1alpha()), &draining);
    all.router.fallback(unknown_path)
}

/// What the router needs of a service: another name for all this.
trait Mountable:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Mountable for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Services that are mounted, each under its name.
struct Mounted {
    auth: Auth,
    router: Router,
}

impl Mounted {
    /// Mounts a service behind what stands before all of them. A layer of the router would be
    /// a box for every request; this is one type.
    fn add<S: Mountable + NamedService>(self, service: S) -> Self {
        self.mount(S::NAME, service)
    }

    /// Mounts a service that is not ours: its streams end with the server.
    fn add_foreign(
        self,
        name: &str,
        service: impl Mountable,
        draining: &CancellationToken,
    ) -> Self {
        let draining = draining.clone();
        let ending = service_fn(move |request| {
            drain::end_streams(draining.clone(), service.clone(), request)
        });
        self.mount(name, ending)
    }

    fn mount(self, name: &str, service: impl Mountable) -> Self {
        let Self { auth, router } = self;
        let of_service = auth.clone();
        let authorized = service_fn(move |request| {
            authorize::authorize(of_service.clone(), service.clone(), request)
        });
        // Outermost, and on these routes only: over other paths it would answer plain HTTP/1.1
        // requests with an empty 400.
        let web = GrpcWebLayer::new();
        let explained = MapResponse::new(authorized, fault_details::explain::<Body>);
        let router = router.route_service(&format!("/{name}/{{*method}}"), web.layer(explained));
        Self { auth, router }
    }
}

/// A service that is made when it is called for the first time: what reflection reads of the
/// contract is a good part of the memory of a server at rest.
fn on_demand<S: Mountable>(make: fn() -> Result<S, Error>) -> impl Mountable {
    let made = Arc::new(OnceLock::new());
    service_fn(move |request| {
        let made = Arc::clone(&made);
        async move {
            match made.get_or_init(make) {
                Ok(service) => service.clone().oneshot(request).await,
                Err(error) => Ok(Status::internal(error.to_string()).into_http()),
            }
        }
    })
}

fn reflection() -> Builder<'static> {
    let sets = [
        DESCRIPTOR,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let builder =
        sets.into_iter().fold(Builder::configure(), Builder::register_encoded_file_descriptor_set);
    MOUNTED.into_iter().chain(SUPPORTING).fold(builder, Builder::with_service_name)
}

async fn unknown_path(headers: HeaderMap) -> Response<Body> {
    let content_type = headers.get(header::CONTENT_TYPE);
    match content_type.filter(|value| value.as_bytes().starts_with(b"application/grpc")) {
        Some(kind) => unknown_method(kind),
        None => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

/// A response without body: its headers are read as trailers by gRPC and
/// gRPC-Web alike, each in its own content type.
fn unknown_method(content_type: &HeaderValue) -> Response<Body> {
    let mut response = status::not_built("this service").into_http::<Body>();
    response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_supporting_services_are_theirs() {
        let names = [
            <HealthServer<tonic_health::server::HealthService> as NamedService>::NAME,
            tonic_reflection::pb::v1::server_reflection_server::SERVICE_NAME,
            tonic_reflection::pb::v1alpha::server_reflection_server::SERVICE_NAME,
        ];
        assert_eq!(SUPPORTING, names);
        assert!(reflection().build_v1().is_ok() && reflection().build_v1alpha().is_ok());
    }

    #[tokio::test]
    async fn unknown_paths_are_answered_in_the_language_of_the_caller() {
        let ask = |kind: Option<&'static str>| {
            let kind = kind.map(|kind| (header::CONTENT_TYPE, HeaderValue::from_static(kind)));
            unknown_path(HeaderMap::from_iter(kind))
        };
        for grpc in ["application/grpc", "application/grpc-web+proto"] {
            let response = ask(Some(grpc)).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[header::CONTENT_TYPE], grpc);
            assert_eq!(response.headers()["grpc-status"], "12");
            assert!(response.headers().contains_key("grpc-status-details-bin"));
        }
        for other in [Some("application/json"), None] {
            assert_eq!(ask(other).await.status(), StatusCode::NOT_FOUND);
        }
    }
}
