//! The combined log format, with further fields behind it.

use std::fmt::Write as _;
use std::time::SystemTime;

use http::HeaderValue;

use super::field::{escape, push_bounded};
use super::record::Record;

/// Adds the line of `record`, which stands for `sample` responses, to `line`.
pub(super) fn render(record: &Record, sample: u32, line: &mut String) {
    let client = record.peer.address;
    let _ = write!(line, "{client} - ");
    push_user(line, record.user.as_deref());
    let _ = write!(line, " [{}] \"", clf_time(record.arrived));
    escape(line, record.method.as_str().as_bytes());
    line.push(' ');
    escape(line, record.target.as_bytes());
    let (status, sent) = (record.status.as_u16(), record.sent);
    let _ = write!(line, " {:?}\" {status} {sent} ", record.version);
    quote(line, record.referer.as_ref().map(HeaderValue::as_bytes));
    line.push(' ');
    quote(line, record.user_agent.as_ref().map(HeaderValue::as_bytes));
    let _ = write!(line, " coding={} cache=", record.coding.as_deref().unwrap_or("-"));
    quote(line, record.cache_status.as_ref().map(String::as_bytes));
    line.push_str(" source=");
    match record.source_len {
        Some(len) => drop(write!(line, "{len}")),
        None => line.push('-'),
    }
    let (first_byte, end) = (record.first_byte().as_secs_f64(), record.end());
    let _ = write!(line, " sent={sent} first_byte={first_byte:.6} end={end}");
    if sample > 1 {
        let _ = write!(line, " sample={sample}");
    }
    line.push('\n');
}

/// Adds the name of a user, which is a field without quotes.
fn push_user(line: &mut String, user: Option<&str>) {
    let Some(user) = user else { return line.push('-') };
    push_bounded(line, user.bytes(), |line, byte| match byte {
        b'-' if user == "-" => line.push_str("\\x2D"),
        b' ' | b'"' | b'\\' => drop(write!(line, "\\x{byte:02X}")),
        b'!'..=b'~' => line.push(char::from(byte)),
        _ => drop(write!(line, "\\x{byte:02X}")),
    });
}

/// A time as in `23/Nov/2026:01:53:09 +0000`.
fn clf_time(time: SystemTime) -> String {
    // As in `Sun, 06 Nov 1994 08:49:37 GMT`.
    let date = httpdate::fmt_http_date(time);
    format!("{}/{}/{}:{} +0000", &date[5..7], &date[8..11], &date[12..16], &date[17..25])
}

fn quote(line: &mut String, text: Option<&[u8]>) {
    line.push('"');
    escape(line, text.unwrap_or(b"-"));
    line.push('"');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::LOG_FIELD_BYTES;

    #[test]
    fn time_has_the_common_log_format() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(clf_time(time), "06/Nov/1994:08:49:37 +0000");
    }

    #[test]
    fn user_is_one_field() {
        for (user, expected) in [
            (None, "-"),
            (Some("ann"), "ann"),
            (Some("-"), r"\x2D"),
            (Some("a b\"\\\u{e9}"), r"a\x20b\x22\x5C\xC3\xA9"),
        ] {
            let mut line = String::new();
            push_user(&mut line, user);
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn quoted_text_ends_neither_its_quotes_nor_its_line() {
        let mut line = String::new();
        quote(&mut line, Some(b"a\"b\\c\r\nd\x1b[31m\xff e"));
        assert_eq!(line, r#""a\x22b\x5Cc\x0D\x0Ad\x1B[31m\xFF e""#);
        line.clear();
        quote(&mut line, None);
        assert_eq!(line, "\"-\"");
    }

    #[test]
    fn long_field_is_cut_after_whole_escapes() {
        let escaped = |text: &[u8]| {
            let mut line = String::from("before ");
            escape(&mut line, text);
            line.split_off(7)
        };
        let whole = "a".repeat(LOG_FIELD_BYTES);
        assert_eq!(escaped(whole.as_bytes()), whole);
        let cut = escaped(&[b'a'; LOG_FIELD_BYTES + 1]);
        assert_eq!(cut, format!("{}...", &whole[3..]));
        let cut = escaped(&[0xff; 15_800]);
        assert_eq!(cut, format!("{}...", "\\xFF".repeat((LOG_FIELD_BYTES - 3) / 4)));
    }
}
