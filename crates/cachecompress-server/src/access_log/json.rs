//! The access log as JSON: an object a line, with the same keys in each.

use std::fmt::Write as _;

use http::HeaderValue;

use super::field::push_bounded;
use super::record::Record;

/// Adds the object of `record`, which stands for `sample` responses, to `line`.
pub(super) fn render(record: &Record, sample: u32, line: &mut String) {
    let arrived = humantime::format_rfc3339_millis(record.arrived);
    let client = record.peer.address;
    let _ = write!(line, "{{\"time\":\"{arrived}\",\"client\":\"{client}\"");
    let mut text = |key: &str, text: Option<&[u8]>| {
        let _ = write!(line, ",\"{key}\":");
        match text {
            Some(text) => quote(line, text),
            None => line.push_str("null"),
        }
    };
    let (origin, bytes) = (record.origin.as_ref(), HeaderValue::as_bytes);
    text("user", record.user.as_ref().map(|user| user.as_bytes()));
    text("method", Some(record.method.as_str().as_bytes()));
    text("target", Some(record.target.as_bytes()));
    text("protocol", Some(format!("{:?}", record.version).as_bytes()));
    text("tls", record.peer.tls.map(str::as_bytes));
    text("host", origin.and_then(|origin| origin.host.as_deref()));
    text("referer", record.referer.as_ref().map(bytes));
    text("user_agent", record.user_agent.as_ref().map(bytes));
    text("coding", record.coding.as_ref().map(String::as_bytes));
    text("cache", record.cache_status.as_ref().map(String::as_bytes));
    text("end", Some(record.end().as_bytes()));
    let traceparent = origin.and_then(|origin| origin.traceparent.as_ref());
    text("traceparent", traceparent.map(String::as_bytes));
    text("request_id", origin.map(|origin| origin.request_id.as_bytes()));
    let (status, sent) = (record.status.as_u16(), record.sent);
    let _ = write!(line, ",\"status\":{status},\"sent\":{sent},\"source\":");
    match record.source_len {
        Some(len) => drop(write!(line, "{len}")),
        None => line.push_str("null"),
    }
    let first_byte = record.first_byte().as_secs_f64();
    let _ = writeln!(line, ",\"first_byte\":{first_byte:.6},\"sample\":{sample}}}");
}

/// Adds `bytes` as a bounded string of visible ASCII.
///
/// A reader gets the text as it was sent; bytes that are no UTF-8 become U+FFFD.
fn quote(line: &mut String, bytes: &[u8]) {
    let chars = bytes.utf8_chunks().flat_map(|chunk| {
        let invalid = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        chunk.valid().chars().chain(invalid)
    });
    line.push('"');
    push_bounded(line, chars, |line, char| match char {
        '"' | '\\' => line.extend(['\\', char]),
        ' '..='~' => line.push(char),
        _ => {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
    });
    line.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::LOG_FIELD_BYTES;

    fn quoted(bytes: &[u8]) -> String {
        let mut line = String::from("before ");
        quote(&mut line, bytes);
        line.split_off(7)
    }

    #[test]
    fn quoted_text_is_read_as_it_was_sent() {
        assert_eq!(quoted(b"a\"b\\c\r\n\x1b\x7f"), r#""a\"b\\c\u000d\u000a\u001b\u007f""#);
        assert_eq!(quoted("\u{e9}\u{202e}\u{1f980}".as_bytes()), r#""\u00e9\u202e\ud83e\udd80""#);
        assert_eq!(quoted(b"\xffa\xc3"), r#""\ufffda\ufffd""#);
    }

    #[test]
    fn long_text_is_cut_after_whole_characters() {
        let whole = "a".repeat(LOG_FIELD_BYTES);
        assert_eq!(quoted(whole.as_bytes()), format!("\"{whole}\""));
        assert_eq!(quoted(&[b'a'; LOG_FIELD_BYTES + 1]), format!("\"{}...\"", &whole[3..]));
        let crabs = quoted("\u{1f980}".repeat(9999).as_bytes());
        let count = (LOG_FIELD_BYTES - 3) / 12;
        assert_eq!(crabs, format!("\"{}...\"", "\\ud83e\\udd80".repeat(count)));
    }

    proptest! {
        #[test]
        fn quoted_bytes_are_bounded_json_of_visible_ascii(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let line = quoted(&bytes);
            prop_assert!(line.len() <= LOG_FIELD_BYTES + 2);
            prop_assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            let read: String = serde_json::from_str(&line).unwrap();
            let sent = String::from_utf8_lossy(&bytes);
            match read.strip_suffix("...") {
                Some(begin) if read != sent => prop_assert!(sent.starts_with(begin)),
                _ => prop_assert_eq!(read, sent),
            }
        }
    }
}
