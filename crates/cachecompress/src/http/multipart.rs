//! `multipart/byteranges`: the framing of several ranges in one 206 (RFC 9110 §14.6).

use bytes::Bytes;
use http::HeaderValue;

use super::range::{ByteRange, content_range};

/// The framing of a body of several ranges of one representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Multipart {
    /// Each range, with the bytes that go before it.
    parts: Vec<(Bytes, ByteRange)>,
    /// The bytes after the last range.
    end: Bytes,
    media_type: HeaderValue,
}

impl Multipart {
    /// Frames `ranges` of a representation of `len` bytes and of the type `part_type`.
    ///
    /// `boundary` is the delimiter, of characters that need no quotes (RFC 9110 §5.6.2). It must not
    /// occur within the ranges.
    #[must_use]
    pub(crate) fn new(
        boundary: &str,
        part_type: &HeaderValue,
        ranges: &[ByteRange],
        len: u64,
    ) -> Self {
        let head = |range: ByteRange| {
            let content_range = content_range(range, len);
            // The line end belongs to the delimiter (RFC 2046 §5.1.1). The first one is optional, and
            // zsync skips a line there.
            let lines = [
                b"\r\n--",
                boundary.as_bytes(),
                b"\r\nContent-Type: ",
                part_type.as_bytes(),
                b"\r\nContent-Range: ",
                content_range.as_bytes(),
                b"\r\n\r\n",
            ];
            Bytes::from(lines.concat())
        };
        Self {
            parts: ranges.iter().map(|range| (head(*range), *range)).collect(),
            end: format!("\r\n--{boundary}--\r\n").into(),
            media_type: HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"))
                .expect("a boundary may stand in a field value"),
        }
    }

    /// The number of bytes of the whole body.
    #[must_use]
    pub(crate) fn len(&self) -> u64 {
        let parts = self.parts.iter();
        let parts = parts.map(|(head, range)| (head.len() as u64).saturating_add(range.len()));
        parts.fold(self.end.len() as u64, u64::saturating_add)
    }

    /// The number of bytes of the ranges alone.
    #[must_use]
    pub(crate) fn content_len(&self) -> u64 {
        self.parts.iter().map(|(_, range)| range.len()).sum()
    }

    /// Each range, with the bytes that go before it, in their order.
    pub(crate) fn parts(&self) -> &[(Bytes, ByteRange)] {
        &self.parts
    }

    /// The bytes after the last range.
    pub(crate) fn end(&self) -> &Bytes {
        &self.end
    }

    /// The `Content-Type` of the body.
    pub(crate) fn media_type(&self) -> &HeaderValue {
        &self.media_type
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_framed_as_in_rfc_9110() {
        let ranges = [ByteRange { first: 500, last: 999 }, ByteRange { first: 0, last: 9 }];
        let part_type = HeaderValue::from_static("application/pdf");
        let multipart = Multipart::new("SEPARATOR", &part_type, &ranges, 8000);
        assert_eq!(multipart.media_type(), "multipart/byteranges; boundary=SEPARATOR");
        let heads: Vec<_> = multipart.parts().iter().map(|(head, _)| head.clone()).collect();
        assert_eq!(
            heads,
            [
                "\r\n--SEPARATOR\r\nContent-Type: application/pdf\r\n\
                 Content-Range: bytes 500-999/8000\r\n\r\n",
                "\r\n--SEPARATOR\r\nContent-Type: application/pdf\r\n\
                 Content-Range: bytes 0-9/8000\r\n\r\n",
            ]
        );
        assert_eq!(multipart.end(), "\r\n--SEPARATOR--\r\n");
        let framing: usize = heads.iter().map(Bytes::len).sum::<usize>() + multipart.end().len();
        assert_eq!(multipart.content_len(), 510);
        assert_eq!(multipart.len(), framing as u64 + 510);
    }
}
