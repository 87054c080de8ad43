//! A strict reader of `multipart/byteranges`.

/// One part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its `Content-Type`.
    pub media_type: String,
    /// The offset of its first byte, from `Content-Range`.
    pub first: usize,
    /// The offset of its last byte.
    pub last: usize,
    /// The length of the whole representation.
    pub of: usize,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Reads a body by the `Content-Type` of its response. Each part is as long as it says, so that
/// nothing depends on what the bytes are.
///
/// # Panics
///
/// If anything is not as RFC 9110 §14.6 and RFC 2046 §5.1 have it.
#[must_use]
#[track_caller]
pub fn parts(content_type: &str, mut body: &[u8]) -> Vec<Part> {
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=");
    let boundary = boundary.unwrap_or_else(|| panic!("{content_type:?}"));
    assert!((1..=70).contains(&boundary.len()), "{content_type:?}");
    assert!(boundary.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{content_type:?}");
    let mut parts = Vec::new();
    loop {
        body = after(body, &format!("\r\n--{boundary}"));
        if body == b"--\r\n" {
            return parts;
        }
        body = after(body, "\r\nContent-Type: ");
        let (media_type, rest) = line(body);
        let (range, rest) = line(after(rest, "Content-Range: bytes "));
        body = after(rest, "\r\n");
        let (range, of) = range.split_once('/').unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let number = |text: &str| text.parse::<usize>().unwrap();
        let (first, last, of) = (number(first), number(last), number(of));
        assert!(first <= last && last < of, "{first}-{last}/{of}");
        let (bytes, rest) = body.split_at_checked(last + 1 - first).expect("all bytes of a part");
        parts.push(Part {
            media_type: media_type.to_owned(),
            first,
            last,
            of,
            bytes: bytes.to_vec(),
        });
        body = rest;
    }
}

#[track_caller]
fn after<'a>(body: &'a [u8], text: &str) -> &'a [u8] {
    let rest = body.strip_prefix(text.as_bytes());
    rest.unwrap_or_else(|| panic!("no {text:?} in {:?}", &body[..body.len().min(200)]))
}

fn line(body: &[u8]) -> (&str, &[u8]) {
    let end = body.windows(2).position(|two| two == b"\r\n").expect("a line");
    (std::str::from_utf8(&body[..end]).unwrap(), &body[end + 2..])
}
