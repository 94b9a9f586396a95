//! How a webhook's requests are signed: the scheme and its secrets, their rules and
//! their life. The signatures themselves are in [`super::signature`].

use std::{collections::HashSet, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    error::{Error, Faults, Reason, Result},
    limits,
    signature::{self, Key},
    text,
    time::Timestamp,
    webhook::Header,
    webhook_rules::{is_header_name, is_reserved},
};

/// Header of the plain HMAC schemes where the owner names none.
pub const DEFAULT_HEADER: &str = "X-Tidings-Signature";

/// How requests prove where they come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// The way to sign.
    pub scheme: SigningScheme,
    /// Header of the plain HMAC schemes; [`DEFAULT_HEADER`] when empty.
    pub header_name: String,
    /// Newest first; never empty once stored.
    pub secrets: Vec<SigningSecret>,
}

/// A way to sign; the numbers are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningScheme {
    /// Standard Webhooks, `v1`.
    StandardWebhooks = 1,
    /// Hex HMAC-SHA256 of the body.
    HmacSha256Hex = 2,
    /// Base64 HMAC-SHA256 of the body.
    HmacSha256Base64 = 3,
    /// Standard Webhooks, `v1a`: ed25519.
    StandardWebhooksEd25519 = 4,
}

/// One key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningSecret {
    /// Server-made; empty until [`Signing::complete`].
    pub secret_id: String,
    /// The key as text; empty until [`Signing::complete`] where the server makes it.
    pub value: String,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it stops signing; absent means never.
    pub expire_time: Option<Timestamp>,
}

impl fmt::Debug for SigningSecret {
    /// The value never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningSecret")
            .field("secret_id", &self.secret_id)
            .field("create_time", &self.create_time)
            .field("expire_time", &self.expire_time)
            .finish_non_exhaustive()
    }
}

impl SigningSecret {
    /// A secret to be made; the server makes its value where that is empty.
    pub fn draft(value: String, expire_time: Option<Timestamp>) -> Self {
        Self { secret_id: String::new(), value, create_time: Timestamp::default(), expire_time }
    }

    /// Whether it was given an id, and with it a value.
    pub fn is_made(&self) -> bool {
        !self.secret_id.is_empty()
    }

    /// Whether it signs at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expire_time.is_none_or(|end| now < end)
    }

    fn complete(&mut self, scheme: SigningScheme, now: Timestamp, random: Random<'_>) {
        if self.is_made() {
            return;
        }
        self.secret_id = random()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        self.create_time = now;
        if self.value.is_empty() {
            self.value = signature::generate(scheme, random());
        }
    }
}

/// A source of random bytes that nobody can foresee.
pub type Random<'a> = &'a mut dyn FnMut() -> [u8; 32];

impl Signing {
    /// Standard Webhooks, with no secret yet.
    pub fn standard() -> Self {
        let scheme = SigningScheme::StandardWebhooks;
        Self { scheme, header_name: String::new(), secrets: Vec::new() }
    }

    /// The headers that a signature sets.
    pub fn header_names(&self) -> Vec<&str> {
        match self.scheme {
            SigningScheme::StandardWebhooks | SigningScheme::StandardWebhooksEd25519 => {
                vec![signature::ID, signature::TIMESTAMP, signature::SIGNATURE]
            }
            SigningScheme::HmacSha256Hex | SigningScheme::HmacSha256Base64 => {
                vec![self.plain_header()]
            }
        }
    }

    /// The header of the plain HMAC schemes.
    pub fn plain_header(&self) -> &str {
        if self.header_name.is_empty() { DEFAULT_HEADER } else { &self.header_name }
    }

    /// The headers that a signature sets, as the log shows them.
    pub fn masked_headers(&self) -> impl Iterator<Item = Header> {
        self.header_names().into_iter().map(|name| Header {
            name: name.to_owned(),
            values: vec![Header::MASK.to_owned()],
            sensitive: true,
        })
    }

    /// Adds what is wrong with it to `faults`; no message has a value in it.
    pub(super) fn check(&self, faults: &mut Faults) {
        let at = "webhook.signing.header_name";
        let name = self.header_name.to_ascii_lowercase();
        let plain = match self.scheme {
            SigningScheme::StandardWebhooks | SigningScheme::StandardWebhooksEd25519 => false,
            SigningScheme::HmacSha256Hex | SigningScheme::HmacSha256Base64 => true,
        };
        if !name.is_empty() {
            if !plain {
                faults.invalid(at, "is for the plain HMAC schemes: the others have their own");
            } else if !is_header_name(&name) || name.len() > limits::NAME_CHARS {
                faults.invalid(at, "is no header name");
            } else if is_reserved(&name) || ["content-type", "user-agent"].contains(&&*name) {
                faults.invalid(at, "is set by the server");
            }
        }
        let at = "webhook.signing.secrets";
        if self.secrets.len() > limits::SECRETS {
            faults.invalid(at, format!("must be at most {}", limits::SECRETS));
            return;
        }
        let mut seen = HashSet::new();
        for (i, secret) in self.secrets.iter().enumerate() {
            if secret.value.is_empty() && !secret.is_made() {
                continue;
            }
            let at = format!("{at}[{i}].value");
            check_value(self.scheme, &secret.value, &at, faults);
            if !seen.insert(&secret.value) {
                faults.invalid(at, "is there twice");
            }
        }
    }

    /// Notes new secrets that would never sign.
    pub fn check_times(&self, now: Timestamp, faults: &mut Faults) {
        for (i, secret) in self.secrets.iter().enumerate() {
            if !secret.is_made() && !secret.is_live(now) {
                let at = format!("webhook.signing.secrets[{i}].expire_time");
                faults.invalid(at, "must be in the future");
            }
        }
    }

    /// Makes what is still a draft, drops what has expired and puts the newest first.
    /// The last secret stays even where it has expired, so that what was signed is not
    /// taken for what never was.
    pub fn complete(&mut self, now: Timestamp, random: Random<'_>) {
        for secret in &mut self.secrets {
            secret.complete(self.scheme, now, random);
        }
        // Stable: of secrets made together, the first stays the newest.
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.create_time));
        if self.secrets.iter().any(|secret| secret.is_live(now)) {
            self.secrets.retain(|secret| secret.is_live(now));
        } else {
            self.secrets.truncate(1);
        }
    }

    /// Notes what is wrong with a value to rotate to; an empty one is to be made.
    pub fn check_next(&self, value: &str, faults: &mut Faults) {
        if value.is_empty() {
            return;
        }
        check_value(self.scheme, value, "value", faults);
        if self.secrets.iter().any(|secret| secret.value == value) {
            faults.invalid("value", "is a secret of this webhook already");
        }
    }

    /// Adds a secret, made here where `value` is empty, and lets the others expire
    /// after `overlap`, unless they do so earlier. The value is checked already.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_STATE_CONFLICT` where too many secrets would be live.
    pub fn rotate(
        &mut self,
        value: String,
        now: Timestamp,
        overlap: Duration,
        random: Random<'_>,
    ) -> Result<()> {
        let end = now.plus(overlap);
        for secret in &mut self.secrets {
            secret.expire_time = Some(secret.expire_time.map_or(end, |earlier| earlier.min(end)));
        }
        self.secrets.insert(0, SigningSecret::draft(value, None));
        self.complete(now, random);
        if self.secrets.len() > limits::SECRETS {
            let most = limits::SECRETS;
            let message = format!(
                "the webhook has {most} live secrets already: rotate with a shorter overlap"
            );
            return Err(Error::new(Reason::WebhookStateConflict, message));
        }
        Ok(())
    }
}

fn check_value(scheme: SigningScheme, value: &str, at: &str, faults: &mut Faults) {
    text::check(faults, at, value, limits::NAME_CHARS);
    if !value.contains('\0') && Key::parse(scheme, value).is_none() {
        let message = match scheme {
            SigningScheme::StandardWebhooks => "must be whsec_ and 24 to 64 bytes in base64",
            SigningScheme::StandardWebhooksEd25519 => {
                "must be whsk_ and an ed25519 key in base64: 32 bytes of seed, or 64 with the \
                 public key"
            }
            SigningScheme::HmacSha256Hex | SigningScheme::HmacSha256Base64 => "must not be empty",
        };
        faults.invalid(at, message);
    }
}

#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
