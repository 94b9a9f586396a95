//! A tail as tests read it.

use std::time::Duration;

use tidings::grpc::proto::{
    EventLogChange, TailEventLogsRequest, TailEventLogsResponse, TailStart,
    event_log_service_client::EventLogServiceClient, tail_event_logs_request::Start,
    tail_event_logs_response::Message,
};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

use super::server::TestServer;

/// How long any one message may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// An open tail that remembers the last token.
pub(crate) struct Tailing {
    stream: Streaming<TailEventLogsResponse>,
    pub(crate) token: String,
}

/// From the oldest retained change.
pub(crate) fn earliest() -> TailEventLogsRequest {
    TailEventLogsRequest {
        start: Some(Start::Position(TailStart::Earliest.into())),
        ..Default::default()
    }
}

/// Right after a token.
pub(crate) fn after(token: &str) -> TailEventLogsRequest {
    TailEventLogsRequest { start: Some(Start::ResumeToken(token.into())), ..Default::default() }
}

impl TestServer {
    /// Opens a tail and reads its first message.
    pub(crate) async fn tail(&self, request: TailEventLogsRequest) -> Result<Tailing, Status> {
        self.tail_over(self.channel.clone(), request).await
    }

    /// Opens a tail whose client takes little before it has read it.
    pub(crate) async fn narrow_tail(&self, request: TailEventLogsRequest) -> Tailing {
        const WINDOW: u32 = 65_535;
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("a URI");
        let narrow = endpoint.initial_stream_window_size(WINDOW);
        let narrow = narrow.initial_connection_window_size(WINDOW).connect_lazy();
        self.tail_over(narrow, request).await.expect("a tail")
    }

    async fn tail_over(
        &self,
        channel: Channel,
        request: TailEventLogsRequest,
    ) -> Result<Tailing, Status> {
        let mut client = EventLogServiceClient::new(channel);
        let stream = client.tail_event_logs(request).await?.into_inner();
        let mut tailing = Tailing { stream, token: String::new() };
        match tailing.next().await? {
            Some(Message::Opened(_)) => Ok(tailing),
            other => panic!("the first message is {other:?}"),
        }
    }

    /// Everything that the log retains, for a request that ends by itself.
    pub(crate) async fn all_changes(&self) -> Vec<EventLogChange> {
        let request = TailEventLogsRequest { stop_when_caught_up: true, ..earliest() };
        let mut tail = self.tail(request).await.expect("a tail");
        let mut changes = Vec::new();
        while let Some(message) = tail.next().await.expect("no error") {
            if let Message::EventLogs(batch) = message {
                changes.extend(batch.changes);
            }
        }
        changes
    }
}

impl Tailing {
    /// The next message; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Status> {
        let next = tokio::time::timeout(DEADLINE, self.stream.message()).await;
        let Some(response) = next.expect("a message in time")? else { return Ok(None) };
        assert!(!response.resume_token.is_empty(), "every message has a token");
        self.token = response.resume_token;
        Ok(Some(response.message.expect("a message says something")))
    }

    /// The next message that is no progress.
    pub(crate) async fn message(&mut self) -> Message {
        loop {
            match self.next().await.expect("no error").expect("no end") {
                Message::Progress(_) => {}
                message => return message,
            }
        }
    }

    /// Reads on until the client is at the head; the changes on the way.
    pub(crate) async fn until_caught_up(&mut self) -> Vec<EventLogChange> {
        let mut changes = Vec::new();
        loop {
            match self.message().await {
                Message::EventLogs(batch) => changes.extend(batch.changes),
                Message::CaughtUp(_) => return changes,
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Reads at least that many changes.
    pub(crate) async fn changes(&mut self, count: usize) -> Vec<EventLogChange> {
        let mut changes = Vec::new();
        while changes.len() < count {
            match self.message().await {
                Message::EventLogs(batch) => changes.extend(batch.changes),
                Message::CaughtUp(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        changes
    }

    /// The error that the stream ends with.
    pub(crate) async fn error(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended well"),
                Err(status) => return status,
            }
        }
    }
}

/// The reason of a status, and a value of its metadata.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("an ErrorInfo").reason
}

/// A value of the metadata of a status.
pub(crate) fn metadata(status: &Status, name: &str) -> String {
    let info = status.get_details_error_info().expect("an ErrorInfo");
    info.metadata.get(name).cloned().unwrap_or_default()
}

/// The sequences of changes.
pub(crate) fn sequences(changes: &[EventLogChange]) -> Vec<i64> {
    changes.iter().map(|change| change.sequence).collect()
}
