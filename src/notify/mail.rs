//! A message as a mail: headers and parts (RFC 5322, RFC 2046). Pure; sends nothing.

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox as Header, MultiPart};

use super::address::{Address, Mailbox};
use super::message::{Kind, Message};
use super::render::render;

/// How many jobs a header names: with ids of 63 characters that stays below the 998 that a line may have.
const HEADER_JOBS_MAX: usize = 12;

/// Returns the mail's bytes. `id` is the outbox's: with it the Message-ID is the same for each try, so that servers and clients see one mail.
///
/// # Errors
/// An address that the mail can't hold, in words.
pub(super) fn compose(message: &Message, id: &str, from: &Mailbox, to: &Address) -> Result<Vec<u8>, String> {
    let rendered = render(message);
    let domain = from.address.ascii_domain();
    let name = from.name.as_deref().map_or_else(|| "etlsched".to_owned(), undecodable);
    let mut builder = lettre::Message::builder()
        .from(Header::new(Some(name), address(&from.address)?))
        .to(Header::new(None, address(to)?))
        .subject(undecodable(&rendered.subject))
        .date(message.at.into())
        .message_id(Some(format!("<{}@{domain}>", word(id))))
        // RFC 3834: nobody's absence is told to us; Outlook's servers go by the second one.
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"))
        .raw_header(header("X-Etlsched-Job", &jobs(message)))
        .raw_header(header("X-Etlsched-Kind", message.kind.as_str()));
    if let Some(thread) = thread(message) {
        let thread = format!("<{thread}@{domain}>");
        builder = builder.in_reply_to(thread.clone()).references(thread);
    }
    let mail = builder.multipart(MultiPart::alternative_plain_html(rendered.text, rendered.html)).map_err(|error| error.to_string())?;
    Ok(mail.formatted())
}

/// Returns the ids of the jobs, for filters: of many the first.
fn jobs(message: &Message) -> String {
    match &message.roundup {
        None => word(&message.job.id),
        Some(roundup) => roundup.jobs.iter().take(HEADER_JOBS_MAX).map(|job| word(&job.id)).collect::<Vec<_>>().join(", "),
    }
}

/// Returns an address as lettre has it.
pub(super) fn address(address: &Address) -> Result<lettre::Address, String> {
    lettre::Address::new(address.local(), address.ascii_domain()).map_err(|error| error.to_string())
}

/// Returns what the mails about one trouble refer to: the run that began it. `None` where it began before the strip, or there is none.
fn thread(message: &Message) -> Option<String> {
    if !matches!(message.kind, Kind::Failure | Kind::Disabled | Kind::DisabledSoon | Kind::Recovery) {
        return None;
    }
    let trouble = super::render::trouble(&message.strip);
    let is_begun_here = trouble.len() + usize::from(message.kind == Kind::Recovery) < message.strip.len() || message.strip.len() < 14;
    let first = trouble.first().filter(|_| is_begun_here)?;
    Some(format!("trouble.{}.{}", word(&message.job.id), first.started_at.timestamp_millis()))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// Returns a text in which no client finds an encoded word (RFC 2047): lettre leaves what looks like one as it is, and it may stand for
/// a line end.
fn undecodable(text: &str) -> String {
    text.replace("=?", "= ?")
}

/// Returns the letters of a text that may stand in an id of a header.
fn word(text: &str) -> String {
    text.chars().filter(|character| character.is_ascii_alphanumeric() || "-_".contains(*character)).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::super::render::samples;
    use super::*;

    fn composed(message: &Message) -> String {
        let from = Mailbox::parse("ETL <etl@example.com>").unwrap();
        let to = Address::parse("ops@example.com").unwrap();
        String::from_utf8(compose(message, "0198f6a2-1111-7000-8000-000000000001", &from, &to).unwrap()).unwrap()
    }

    fn headers(mail: &str) -> Vec<&str> {
        mail.split("\r\n\r\n").next().unwrap().split("\r\n").collect()
    }

    #[test]
    fn a_mail_is_the_same_one_at_each_try() {
        let mail = composed(&samples::failure());
        let headers = headers(&mail);
        for line in [
            "From: ETL <etl@example.com>",
            "To: ops@example.com",
            "Message-ID: <0198f6a2-1111-7000-8000-000000000001@example.com>",
            "Date: Sun, 29 Nov 2026 05:13:05 +0000",
            "Auto-Submitted: auto-generated",
            "X-Etlsched-Job: daily_sales",
            "X-Etlsched-Kind: failure",
        ] {
            assert!(headers.contains(&line), "{line}: {headers:#?}");
        }
        assert!(mail.is_ascii(), "servers without 8BITMIME take it");
        assert!(mail.split("\r\n").all(|line| line.len() <= 998), "RFC 5322, 2.1.1");
    }

    #[test]
    fn a_failure_and_its_recovery_are_one_thread() {
        let reference = |message: &Message| {
            let mail = composed(message);
            headers(&mail).iter().find(|line| line.starts_with("References: ")).map(|line| (*line).to_owned())
        };
        let failure = reference(&samples::failure()).unwrap();
        assert_eq!(Some(failure), reference(&samples::recovery()));
        assert_eq!(reference(&samples::success()), None);
    }

    #[test]
    fn a_mail_about_many_jobs_names_the_first_in_a_header_of_lines_that_servers_take() {
        let mut message = samples::several(1000);
        for (place, job) in message.roundup.as_mut().unwrap().jobs.iter_mut().enumerate() {
            job.id = format!("{place:02}{}", "x".repeat(61));
        }
        let mail = composed(&message);
        assert!(headers(&mail).iter().all(|line| line.len() <= 998));
        let value = headers(&mail).join(" ");
        let jobs = value.split("X-Etlsched-Job: ").nth(1).unwrap().split(" X-").next().unwrap();
        assert_eq!(jobs.split_whitespace().count(), HEADER_JOBS_MAX, "{jobs}");
        assert!(headers(&composed(&samples::several(2))).contains(&"X-Etlsched-Job: job_000, job_001"));
    }

    #[test]
    fn nothing_in_a_message_becomes_a_header() {
        let mut message = samples::failure();
        let evil = "x\r\nBcc: victim@example.com\r\n\r\n<script>\0\u{202e}";
        message.job.name = evil.repeat(40);
        message.job.id = evil.to_owned();
        message.host = evil.to_owned();
        message.causes[0].message = evil.to_owned();
        message.sources[0].name = evil.to_owned();
        let mail = composed(&message);
        for line in headers(&mail) {
            let name = line.split(':').next().unwrap();
            let is_known = line.starts_with(' ')
                || ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "References", "In-Reply-To"]
                    .contains(&name)
                || ["Auto-Submitted", "X-Auto-Response-Suppress", "X-Etlsched-Job", "X-Etlsched-Kind"].contains(&name);
            assert!(is_known, "{line}");
        }
        assert!(!mail.contains('\0'));
    }
}
