//! `WebhookService`.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use super::{
    convert::{
        diverted_event::show_job,
        event_log::show_attempt,
        time::read_duration,
        value,
        webhook::{Reveal, read_webhook, show_webhook},
    },
    mask::WebhookPatch,
    proto::{self, test_webhook_request::Subject, webhook_service_server::WebhookService},
    scoped::{Handlers, check_named, check_tenant, note_named, required},
};
use crate::{
    domain::{
        error::Faults,
        notification::EventIdentity,
        webhook::{Webhook, WebhookState},
    },
    service::{
        scope::Scope,
        webhook_pings::{TestOutcome, Tested},
        webhooks::{CreateWebhook, UpdateWebhook, Warning, WebhookQuery, Written},
    },
};

#[async_trait]
impl WebhookService for Handlers {
    async fn create_webhook(
        &self,
        request: Request<proto::CreateWebhookRequest>,
    ) -> Result<Response<proto::CreateWebhookResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let webhook = required(request.webhook, "webhook")?;
        let mut faults = Faults::default();
        check_tenant(&mut faults, "webhook.tenant_id", &webhook.tenant_id, &scope.tenant_id);
        let spec = read_webhook(&webhook, None, &mut faults);
        let create = CreateWebhook {
            spec,
            faults,
            idempotency_key: request.idempotency_key,
            validate_only: request.validate_only,
        };
        let written = self.services.webhooks.create(&scope, create).await?;
        Ok(Response::new(proto::CreateWebhookResponse {
            webhook: show_written(&written, &scope),
            warnings: written.warnings.into_iter().map(show_warning).collect(),
        }))
    }

    async fn get_webhook(
        &self,
        request: Request<proto::GetWebhookRequest>,
    ) -> Result<Response<proto::GetWebhookResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        check_named("webhook_id", &request.webhook_id)?;
        let webhooks = &self.services.webhooks;
        let webhook = if request.reveal_secrets {
            let webhook = webhooks.reveal(&scope, &request.webhook_id).await?;
            Some(show_webhook(&webhook, &scope.tenant_id, Reveal::Everything))
        } else {
            shown(&webhooks.get(&scope, &request.webhook_id).await?, &scope)
        };
        Ok(Response::new(proto::GetWebhookResponse { webhook }))
    }

    async fn list_webhooks(
        &self,
        request: Request<proto::ListWebhooksRequest>,
    ) -> Result<Response<proto::ListWebhooksResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let page = self.services.webhooks.list(&scope, read_query(request)).await?;
        Ok(Response::new(proto::ListWebhooksResponse {
            webhooks: page.webhooks.iter().filter_map(|webhook| shown(webhook, &scope)).collect(),
            next_page_token: page.next_page_token,
            total_size: i64::try_from(page.total_size).unwrap_or(i64::MAX),
        }))
    }

    async fn update_webhook(
        &self,
        request: Request<proto::UpdateWebhookRequest>,
    ) -> Result<Response<proto::UpdateWebhookResponse>, Status> {
        let (_, extensions, mut request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let webhook = required(request.webhook.take(), "webhook")?;
        check_named("webhook.webhook_id", &webhook.webhook_id)?;
        let mut faults = Faults::default();
        check_tenant(&mut faults, "webhook.tenant_id", &webhook.tenant_id, &scope.tenant_id);
        let (webhook_id, etag) = (webhook.webhook_id.clone(), webhook.etag.clone());
        let validate_only = request.validate_only;
        request.webhook = Some(webhook);
        let patch = WebhookPatch::new(request, faults);
        let change = Box::new(move |current: &_, faults: &mut _| patch.apply(current, faults));
        let update = UpdateWebhook { webhook_id, etag, change, validate_only };
        let written = self.services.webhooks.update(&scope, update).await?;
        Ok(Response::new(proto::UpdateWebhookResponse {
            webhook: show_written(&written, &scope),
            warnings: written.warnings.into_iter().map(show_warning).collect(),
        }))
    }

    async fn delete_webhook(
        &self,
        request: Request<proto::DeleteWebhookRequest>,
    ) -> Result<Response<proto::DeleteWebhookResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let proto::DeleteWebhookRequest { tenant_id: _, webhook_id, etag, allow_missing } = request;
        check_named("webhook_id", &webhook_id)?;
        let deleted =
            self.services.webhooks.delete(&scope, &webhook_id, &etag, allow_missing).await?;
        let webhook = deleted.and_then(|webhook| shown(&webhook, &scope));
        Ok(Response::new(proto::DeleteWebhookResponse { webhook }))
    }

    async fn suspend_webhook(
        &self,
        request: Request<proto::SuspendWebhookRequest>,
    ) -> Result<Response<proto::SuspendWebhookResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let proto::SuspendWebhookRequest { tenant_id: _, webhook_id, message, duration } = request;
        let mut faults = Faults::default();
        note_named(&mut faults, "webhook_id", &webhook_id);
        let span = read_duration(duration.as_ref(), "duration", &mut faults);
        let suspended =
            self.services.webhooks.suspend(&scope, &webhook_id, &message, span, faults).await;
        let webhook = suspended?;
        Ok(Response::new(proto::SuspendWebhookResponse { webhook: shown(&webhook, &scope) }))
    }

    async fn unsuspend_webhook(
        &self,
        request: Request<proto::UnsuspendWebhookRequest>,
    ) -> Result<Response<proto::UnsuspendWebhookResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let proto::UnsuspendWebhookRequest { tenant_id: _, webhook_id, replay_diverted } = request;
        check_named("webhook_id", &webhook_id)?;
        let webhooks = &self.services.webhooks;
        let (webhook, job) = webhooks.unsuspend(&scope, &webhook_id, replay_diverted).await?;
        Ok(Response::new(proto::UnsuspendWebhookResponse {
            webhook: shown(&webhook, &scope),
            replay_job: job.map(|job| show_job(&job, &scope.tenant_id)),
        }))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<proto::RotateWebhookSecretRequest>,
    ) -> Result<Response<proto::RotateWebhookSecretResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let proto::RotateWebhookSecretRequest { tenant_id: _, webhook_id, value, overlap } =
            request;
        let mut faults = Faults::default();
        note_named(&mut faults, "webhook_id", &webhook_id);
        let overlap = read_duration(overlap.as_ref(), "overlap", &mut faults);
        let webhooks = &self.services.webhooks;
        let rotated = webhooks.rotate_secret(&scope, &webhook_id, &value, overlap, faults).await?;
        let new = [rotated.secret_id];
        let webhook = show_webhook(&rotated.webhook, &scope.tenant_id, Reveal::Secrets(&new));
        let mut secrets = webhook.signing.iter().flat_map(|signing| &signing.secrets);
        let secret = secrets.find(|secret| new.contains(&secret.secret_id)).cloned();
        Ok(Response::new(proto::RotateWebhookSecretResponse { secret, webhook: Some(webhook) }))
    }

    async fn test_webhook(
        &self,
        request: Request<proto::TestWebhookRequest>,
    ) -> Result<Response<proto::TestWebhookResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let scope = self.scope(&extensions, &request.tenant_id).await?;
        let mut faults = Faults::default();
        let tested = match required(request.subject, "subject")? {
            Subject::WebhookId(id) => Tested::Stored(id),
            Subject::Webhook(webhook) => {
                let at = "webhook.tenant_id";
                check_tenant(&mut faults, at, &webhook.tenant_id, &scope.tenant_id);
                // What is masked here means no stored value: it could be sent anywhere.
                Tested::Definition(Box::new(read_webhook(&webhook, None, &mut faults)))
            }
        };
        let webhooks = &self.services.webhooks;
        let outcome = webhooks.test(&scope, tested, &request.payload_json, faults).await?;
        let attempt = Some(show_test(&outcome));
        Ok(Response::new(proto::TestWebhookResponse { attempt }))
    }
}

fn read_query(request: proto::ListWebhooksRequest) -> WebhookQuery {
    let proto::ListWebhooksRequest {
        tenant_id: _,
        page_size,
        page_token,
        skip,
        name,
        enabled,
        suspended,
        active,
        event_names,
        states,
        labels,
        consumer_group_id,
    } = request;
    let mut faults = Faults::default();
    WebhookQuery {
        page_size,
        page_token,
        skip,
        name,
        enabled,
        suspended,
        active,
        event_names,
        states: value::read_numbers(&states, "states", read_state, &mut faults),
        labels: labels.into_iter().collect(),
        consumer_group_id: value::read_uuid(&consumer_group_id, "consumer_group_id", &mut faults),
        faults,
    }
}

fn read_state(number: i32) -> Option<WebhookState> {
    match proto::WebhookState::try_from(number).ok()? {
        proto::WebhookState::Unspecified => None,
        proto::WebhookState::Active => Some(WebhookState::Active),
        proto::WebhookState::Stopped => Some(WebhookState::Stopped),
        proto::WebhookState::TooManyErrors => Some(WebhookState::TooManyErrors),
        proto::WebhookState::Suspended => Some(WebhookState::Suspended),
    }
}

fn shown(webhook: &Arc<Webhook>, scope: &Scope) -> Option<proto::Webhook> {
    Some(show_webhook(webhook, &scope.tenant_id, Reveal::Nothing))
}

/// With the values of the secrets that the call set.
fn show_written(written: &Written, scope: &Scope) -> Option<proto::Webhook> {
    let reveal = Reveal::Secrets(&written.new_secrets);
    Some(show_webhook(&written.webhook, &scope.tenant_id, reveal))
}

fn show_test(outcome: &TestOutcome) -> proto::DeliveryAttempt {
    let TestOutcome { webhook, event, attempt, headers } = outcome;
    let event_id = event.event_id.to_string();
    let identity = EventIdentity {
        event_id: &event_id,
        event_name: &event.event_name,
        ref_id: &event.ref_id,
        request_id: &event.request_id,
    };
    show_attempt(attempt, headers, webhook.webhook_id, &identity)
}

fn show_warning(warning: Warning) -> proto::Warning {
    let Warning { field, reason, message } = warning;
    proto::Warning { field, reason: reason.to_owned(), message }
}
