//! `DivertedEventService`.

use tonic::{Request, Response, Status, async_trait};

use super::{
    convert::{
        diverted_event::{read_selector, show_diverted, show_job},
        value,
    },
    proto::{self, View, diverted_event_service_server::DivertedEventService},
    scoped::{Handlers, check_named},
};
use crate::{
    domain::{
        diverted::{DivertedEvent, DivertedState, JobKind},
        error::Faults,
    },
    service::{
        diverted_events::{DivertedQuery, JobRequest},
        scope::Scope,
    },
};

#[async_trait]
impl DivertedEventService for Handlers {
    async fn get_diverted_event(
        &self,
        request: Request<proto::GetDivertedEventRequest>,
    ) -> Result<Response<proto::GetDivertedEventResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        check_named("diverted_event_id", &request.diverted_event_id)?;
        let diverted = &self.services.diverted_events;
        let event = diverted.get(&scope, &request.diverted_event_id).await?;
        let diverted_event = Some(self.show(&event, &scope, true));
        Ok(Response::new(proto::GetDivertedEventResponse { diverted_event }))
    }

    async fn list_diverted_events(
        &self,
        request: Request<proto::ListDivertedEventsRequest>,
    ) -> Result<Response<proto::ListDivertedEventsResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let query = read_query(request);
        let full = query.full;
        let page = self.services.diverted_events.list(&scope, query).await?;
        Ok(Response::new(proto::ListDivertedEventsResponse {
            diverted_events: page.items.iter().map(|e| self.show(e, &scope, full)).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn replay_diverted_events(
        &self,
        request: Request<proto::ReplayDivertedEventsRequest>,
    ) -> Result<Response<proto::ReplayDivertedEventsResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let proto::ReplayDivertedEventsRequest {
            tenant_id: _,
            selector,
            max_per_second,
            idempotency_key,
            validate_only,
        } = request;
        let mut faults = Faults::default();
        let request = JobRequest {
            kind: JobKind::Replay,
            selector: read_selector(selector, &mut faults),
            max_per_second,
            idempotency_key,
            validate_only,
            faults,
        };
        let job = self.services.diverted_events.start(&scope, request).await?;
        let job = Some(show_job(&job, &scope.tenant_id));
        Ok(Response::new(proto::ReplayDivertedEventsResponse { job }))
    }

    async fn discard_diverted_events(
        &self,
        request: Request<proto::DiscardDivertedEventsRequest>,
    ) -> Result<Response<proto::DiscardDivertedEventsResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let proto::DiscardDivertedEventsRequest {
            tenant_id: _,
            selector,
            idempotency_key,
            validate_only,
        } = request;
        let mut faults = Faults::default();
        let request = JobRequest {
            kind: JobKind::Discard,
            selector: read_selector(selector, &mut faults),
            max_per_second: 0.0,
            idempotency_key,
            validate_only,
            faults,
        };
        let job = self.services.diverted_events.start(&scope, request).await?;
        let job = Some(show_job(&job, &scope.tenant_id));
        Ok(Response::new(proto::DiscardDivertedEventsResponse { job }))
    }

    async fn get_diverted_event_job(
        &self,
        request: Request<proto::GetDivertedEventJobRequest>,
    ) -> Result<Response<proto::GetDivertedEventJobResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        check_named("job_id", &request.job_id)?;
        let job = self.services.diverted_events.job(&scope, &request.job_id).await?;
        let job = Some(show_job(&job, &scope.tenant_id));
        Ok(Response::new(proto::GetDivertedEventJobResponse { job }))
    }

    async fn list_diverted_event_jobs(
        &self,
        request: Request<proto::ListDivertedEventJobsRequest>,
    ) -> Result<Response<proto::ListDivertedEventJobsResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let diverted = &self.services.diverted_events;
        let page = diverted.jobs(&scope, request.page_size, &request.page_token).await?;
        Ok(Response::new(proto::ListDivertedEventJobsResponse {
            jobs: page.items.iter().map(|job| show_job(job, &scope.tenant_id)).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn cancel_diverted_event_job(
        &self,
        request: Request<proto::CancelDivertedEventJobRequest>,
    ) -> Result<Response<proto::CancelDivertedEventJobResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        check_named("job_id", &request.job_id)?;
        let job = self.services.diverted_events.cancel(&scope, &request.job_id).await?;
        let job = Some(show_job(&job, &scope.tenant_id));
        Ok(Response::new(proto::CancelDivertedEventJobResponse { job }))
    }
}

impl Handlers {
    fn show(&self, event: &DivertedEvent, scope: &Scope, full: bool) -> proto::DivertedEvent {
        let expire_time = self.services.diverted_events.expire_time(scope, event);
        show_diverted(event, expire_time, &scope.tenant_id, full)
    }
}

fn read_query(request: proto::ListDivertedEventsRequest) -> DivertedQuery {
    let proto::ListDivertedEventsRequest {
        tenant_id: _,
        page_size,
        page_token,
        selector,
        states,
        view,
    } = request;
    let mut faults = Faults::default();
    DivertedQuery {
        page_size,
        page_token,
        selector: read_selector(selector, &mut faults),
        states: value::read_numbers(&states, "states", DivertedState::from_number, &mut faults),
        full: value::read_view(view, View::Basic, &mut faults),
        faults,
    }
}
