//! `EventMetadataService`.

use tonic::{Request, Response, Status, async_trait};

use super::{
    convert::event_metadata::{read_event_metadata, read_origin, show_event_metadata},
    mask::EventTypePatch,
    proto::{self, event_metadata_service_server::EventMetadataService},
    scoped::{Handlers, check_named, check_tenant, required},
};
use crate::{
    domain::{error::Faults, event_metadata::EventMetadata},
    service::{
        event_types::{CreateEventType, EventTypeQuery, UpdateEventType},
        scope::Scope,
    },
};

#[async_trait]
impl EventMetadataService for Handlers {
    async fn create_event_metadata(
        &self,
        request: Request<proto::CreateEventMetadataRequest>,
    ) -> Result<Response<proto::CreateEventMetadataResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let given = required(request.event_metadata, "event_metadata")?;
        let mut faults = Faults::default();
        check_tenant(&mut faults, "event_metadata.tenant_id", &given.tenant_id, &scope.tenant_id);
        let spec = read_event_metadata(&given, &mut faults);
        let create = CreateEventType {
            event_name: given.event_name,
            spec,
            faults,
            idempotency_key: request.idempotency_key,
        };
        let created = self.services.event_types.create(&scope, create).await?;
        let event_metadata = shown(&created, &scope);
        Ok(Response::new(proto::CreateEventMetadataResponse { event_metadata }))
    }

    async fn get_event_metadata(
        &self,
        request: Request<proto::GetEventMetadataRequest>,
    ) -> Result<Response<proto::GetEventMetadataResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        check_named("event_name", &request.event_name)?;
        let found = self.services.event_types.get(&scope, &request.event_name).await?;
        let event_metadata = shown(&found, &scope);
        Ok(Response::new(proto::GetEventMetadataResponse { event_metadata }))
    }

    async fn list_event_metadata(
        &self,
        request: Request<proto::ListEventMetadataRequest>,
    ) -> Result<Response<proto::ListEventMetadataResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let proto::ListEventMetadataRequest {
            tenant_id: _,
            page_size,
            page_token,
            active,
            origin,
            omit_schema,
        } = request;
        let mut faults = Faults::default();
        let origin = read_origin(origin, &mut faults);
        let query = EventTypeQuery { page_size, page_token, active, origin, faults };
        let page = self.services.event_types.list(&scope, query).await?;
        let mut listed: Vec<_> =
            page.event_types.iter().filter_map(|found| shown(found, &scope)).collect();
        if omit_schema {
            listed.iter_mut().for_each(|found| found.schema_json.clear());
        }
        Ok(Response::new(proto::ListEventMetadataResponse {
            event_metadata: listed,
            next_page_token: page.next_page_token,
            total_size: i64::try_from(page.total_size).unwrap_or(i64::MAX),
        }))
    }

    async fn update_event_metadata(
        &self,
        request: Request<proto::UpdateEventMetadataRequest>,
    ) -> Result<Response<proto::UpdateEventMetadataResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let given = required(request.event_metadata, "event_metadata")?;
        check_named("event_metadata.event_name", &given.event_name)?;
        let mut faults = Faults::default();
        check_tenant(&mut faults, "event_metadata.tenant_id", &given.tenant_id, &scope.tenant_id);
        let (event_name, etag) = (given.event_name.clone(), given.etag.clone());
        let patch = EventTypePatch::new(given, request.update_mask.as_ref(), faults);
        let change = Box::new(move |current: &_, faults: &mut _| patch.apply(current, faults));
        let update = UpdateEventType { event_name, etag, change };
        let updated = self.services.event_types.update(&scope, update).await?;
        let event_metadata = shown(&updated, &scope);
        Ok(Response::new(proto::UpdateEventMetadataResponse { event_metadata }))
    }

    async fn delete_event_metadata(
        &self,
        request: Request<proto::DeleteEventMetadataRequest>,
    ) -> Result<Response<proto::DeleteEventMetadataResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        check_named("event_name", &request.event_name)?;
        self.services.event_types.delete(&scope, &request.event_name, &request.etag).await?;
        Ok(Response::new(proto::DeleteEventMetadataResponse {}))
    }
}

fn shown(metadata: &EventMetadata, scope: &Scope) -> Option<proto::EventMetadata> {
    Some(show_event_metadata(metadata, &scope.tenant_id))
}
