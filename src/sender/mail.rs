//! Outgoing mail: plain text to one address at a time, through one SMTP server.

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};

use crate::domain::{limits, time::Timestamp};

/// Limit on each step of a conversation with the server: connecting, and each answer.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit on a conversation as a whole.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends mails. A connection of its own for each: there are few.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why there is no mailer. The URL is not part of it, as it holds a password.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The URL is none of a mail server.
    #[error("smtp_url must be as in smtps://user:password@host or smtp://host:587?tls=required")]
    Url,
    /// The sender's address is none.
    #[error("mail_from must be an e-mail address")]
    From,
}

/// Why a mail was not sent, in words for an operator.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It cannot be written.
    #[error("the mail cannot be written: {0}")]
    Message(#[from] lettre::error::Error),
    /// The server did not take it.
    #[error("{0}")]
    Server(#[from] lettre::transport::smtp::Error),
    /// The server took too long.
    #[error("the mail server did not answer within {TIMEOUT:?}")]
    Timeout,
}

/// Whether mails can be sent there: one plain address, without a name.
pub fn is_mail_address(text: &str) -> bool {
    text.len() <= limits::EMAIL_CHARS
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.parse::<Address>().is_ok()
}

impl Mailer {
    /// A mailer for `smtp://` (in the clear; `?tls=required` or `?tls=opportunistic` for
    /// STARTTLS) or `smtps://`. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When URL or address cannot be used.
    pub fn new(url: &str, from: &str) -> Result<Self, MailerError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| MailerError::Url)?
            .timeout(Some(STEP_TIMEOUT))
            .build();
        let from = from.parse().map_err(|_| MailerError::From)?;
        Ok(Self { transport, from })
    }

    /// Sends a mail. `id` names it: when a mail is sent twice, after a crash, readers
    /// can tell.
    ///
    /// # Errors
    ///
    /// When the server did not take it, as far as is known.
    pub async fn send(
        &self,
        to: &str,
        subject: &str,
        text: &str,
        id: &str,
        date: Timestamp,
    ) -> Result<(), SendError> {
        let to: Address = to.parse().map_err(|_| lettre::error::Error::MissingTo)?;
        let since = Duration::from_micros(u64::try_from(date.micros()).unwrap_or(0));
        let domain = self.from.email.domain();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .date(UNIX_EPOCH + since)
            .message_id(Some(format!("<{id}@{domain}>")))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text.to_owned())?;
        let sent = tokio::time::timeout(TIMEOUT, self.transport.send(message));
        sent.await.map_err(|_| SendError::Timeout)??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_ones() {
        for good in ["a@b.example", "a.b+c@b-c.example"] {
            assert!(is_mail_address(good), "{good}");
        }
        let long = format!("a@{}.example", "b".repeat(limits::EMAIL_CHARS));
        for bad in [
            "",
            "a",
            "@b.c",
            "a@",
            "A <a@b.c>",
            "a@b.c\r\nBcc: x@y.z",
            "a@b.c,d@e.f",
            "a b@c.d",
            &long,
        ] {
            assert!(!is_mail_address(bad), "{bad}");
        }
    }

    #[test]
    fn errors_keep_the_password() {
        let url = "smtp://user:secret@host:port";
        let error = Mailer::new(url, "a@b.c").err().expect("no port");
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert!(matches!(Mailer::new("smtp://h", "nobody"), Err(MailerError::From)));
    }
}
