//! `EventLogService`.

use futures_util::{StreamExt, stream::BoxStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};

use super::{
    convert::{
        delivery_stats::{read_stats_query, show_stats},
        event_log::show_record,
        filter::read_filter,
        tail::{read_tail, show_tail},
        time::read_timestamp,
        value,
    },
    proto::{self, View, event_log_service_server::EventLogService},
    scoped::{Handlers, check_named, note_named},
};
use crate::{domain::error::Faults, service::event_logs::LogQuery};

#[async_trait]
impl EventLogService for Handlers {
    async fn get_event_log(
        &self,
        request: Request<proto::GetEventLogRequest>,
    ) -> Result<Response<proto::GetEventLogResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let proto::GetEventLogRequest { tenant_id: _, event_id, webhook_id, view } = request;
        let mut faults = Faults::default();
        note_named(&mut faults, "event_id", &event_id);
        let full = value::read_view(view, View::Full, &mut faults);
        faults.check()?;
        let (record, total) =
            self.services.event_logs.get(&scope, &event_id, &webhook_id, full).await?;
        Ok(Response::new(proto::GetEventLogResponse {
            event_log: Some(show_record(&record, &scope.tenant_id, full)),
            total_size: value::show_count(total),
        }))
    }

    async fn list_event_logs(
        &self,
        request: Request<proto::ListEventLogsRequest>,
    ) -> Result<Response<proto::ListEventLogsResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let query = read_query(request);
        let full = query.full;
        let page = self.services.event_logs.list(&scope, query).await?;
        let show = |record| show_record(record, &scope.tenant_id, full);
        Ok(Response::new(proto::ListEventLogsResponse {
            event_logs: page.records.iter().map(show).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn get_delivery_stats(
        &self,
        request: Request<proto::GetDeliveryStatsRequest>,
    ) -> Result<Response<proto::GetDeliveryStatsResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let stats = self.services.event_logs.stats(&scope, read_stats_query(request)).await?;
        let stats = stats.into_iter().map(show_stats).collect();
        Ok(Response::new(proto::GetDeliveryStatsResponse { stats }))
    }

    async fn retry_delivery(
        &self,
        request: Request<proto::RetryDeliveryRequest>,
    ) -> Result<Response<proto::RetryDeliveryResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        check_named("event_log_id", &request.event_log_id)?;
        let record = self.services.event_logs.retry(&scope, &request.event_log_id).await?;
        let event_log = Some(show_record(&record, &scope.tenant_id, false));
        Ok(Response::new(proto::RetryDeliveryResponse { event_log }))
    }

    type TailEventLogsStream = BoxStream<'static, Result<proto::TailEventLogsResponse, Status>>;

    async fn tail_event_logs(
        &self,
        request: Request<proto::TailEventLogsRequest>,
    ) -> Result<Response<Self::TailEventLogsStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let mut faults = Faults::default();
        let tail = read_tail(request, &mut faults);
        let full = tail.full;
        let messages = self.services.event_logs.tail(&scope, tail, faults).await?;
        // Converted as the client takes them: one that is gone drops the receiver,
        // and with it the tail.
        let tenant = scope.tenant_id;
        let shown = ReceiverStream::new(messages).map(move |message| {
            message.map(|message| show_tail(message, &tenant, full)).map_err(Status::from)
        });
        Ok(Response::new(shown.boxed()))
    }
}

fn read_query(request: proto::ListEventLogsRequest) -> LogQuery {
    let proto::ListEventLogsRequest {
        tenant_id: _,
        page_size,
        page_token,
        filter,
        ingest_time,
        ascending,
        view,
    } = request;
    let proto::TimeRange { start_time, end_time } = ingest_time.unwrap_or_default();
    let mut faults = Faults::default();
    LogQuery {
        page_size,
        page_token,
        filter: read_filter(filter, &mut faults),
        start_time: read_timestamp(start_time.as_ref(), "ingest_time.start_time", &mut faults),
        end_time: read_timestamp(end_time.as_ref(), "ingest_time.end_time", &mut faults),
        ascending,
        full: value::read_view(view, View::Basic, &mut faults),
        faults,
    }
}
