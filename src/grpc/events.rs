//! `EventService`.

use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{
    convert::event::{read_event, show_event, show_match, show_published},
    proto::{
        self, event_service_server::EventService, explain_event_request::Subject,
        publish_outcome::Outcome,
    },
    publish_stream,
    scoped::{Handlers, check_named, required},
    status,
};
use crate::{
    domain::{
        error::{Error, Reason},
        limits,
    },
    service::events::Published,
};

#[async_trait]
impl EventService for Handlers {
    async fn publish_event(
        &self,
        request: Request<proto::PublishEventRequest>,
    ) -> Result<Response<proto::PublishEventResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let event = read_event(required(request.event, "event")?, "event", &scope.tenant_id);
        let published = self.services.events.publish(&scope, event, request.validate_only).await?;
        let result = Some(show_published(published));
        Ok(Response::new(proto::PublishEventResponse { result }))
    }

    async fn batch_publish_events(
        &self,
        request: Request<proto::BatchPublishEventsRequest>,
    ) -> Result<Response<proto::BatchPublishEventsResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let proto::BatchPublishEventsRequest { tenant_id: _, events, atomic } = request;
        if !(1..=limits::BATCH_EVENTS).contains(&events.len()) {
            let message = format!("must be 1 to {} events", limits::BATCH_EVENTS);
            return Err(Error::field("events", Reason::FieldInvalid, message).into());
        }
        // Each outcome speaks of its own event; where all fail together, they are told apart.
        let read = |(i, event)| match atomic {
            true => read_event(event, &format!("events[{i}]"), &scope.tenant_id),
            false => read_event(event, "event", &scope.tenant_id),
        };
        let events = events.into_iter().enumerate().map(read).collect();
        let outcomes = self.services.events.publish_batch(&scope, events, atomic).await?;
        let outcomes = outcomes.into_iter().map(show_outcome).collect();
        Ok(Response::new(proto::BatchPublishEventsResponse { outcomes }))
    }

    type StreamPublishEventsStream =
        BoxStream<'static, Result<proto::StreamPublishEventsResponse, Status>>;

    async fn stream_publish_events(
        &self,
        request: Request<Streaming<proto::StreamPublishEventsRequest>>,
    ) -> Result<Response<Self::StreamPublishEventsStream>, Status> {
        Ok(Response::new(publish_stream::answer(self.clone(), request)))
    }

    async fn explain_event(
        &self,
        request: Request<proto::ExplainEventRequest>,
    ) -> Result<Response<proto::ExplainEventResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let events = &self.services.events;
        let matches = match required(request.subject, "subject")? {
            Subject::EventId(id) => events.explain_published(&scope, &id).await?,
            Subject::Event(event) => {
                let event = read_event(event, "event", &scope.tenant_id);
                events.explain_hypothetical(&scope, event).await?
            }
        };
        let matches = matches.into_iter().map(show_match).collect();
        Ok(Response::new(proto::ExplainEventResponse { matches }))
    }

    async fn get_event(
        &self,
        request: Request<proto::GetEventRequest>,
    ) -> Result<Response<proto::GetEventResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        check_named("event_id", &request.event_id)?;
        let event = self.services.events.get(&scope, &request.event_id).await?;
        let event = Some(show_event(&event, &scope.tenant_id));
        Ok(Response::new(proto::GetEventResponse { event }))
    }
}

/// What became of one event of several.
pub(super) fn show_outcome(outcome: Result<Published, Error>) -> proto::PublishOutcome {
    let outcome = match outcome {
        Ok(published) => Outcome::Result(show_published(published)),
        Err(error) => Outcome::Error(status::to_proto(&error)),
    };
    proto::PublishOutcome { outcome: Some(outcome) }
}
