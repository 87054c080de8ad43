//! The parts of a request that a placeholder stands for.

use crate::http::{PathSegment, decode_leniently, encode, encode_bytes};

/// A part of a request's path or query, encoded for both of its uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capture {
    /// As a part of a path.
    pub(super) path: String,
    /// As the value of a parameter.
    pub(super) query: String,
}

impl Capture {
    /// Captures a part of a segment; `None` if it holds a control character.
    pub(super) fn of_part(decoded: &[u8]) -> Option<Self> {
        let mut capture = Self::default();
        capture.push_part(decoded).then_some(capture)
    }

    /// Captures a whole segment, whose escapes stay as they are; `None` if it holds a control
    /// character.
    pub(super) fn of_segment(segment: &PathSegment) -> Option<Self> {
        let mut capture = Self::default();
        capture.push_segment(segment).then_some(capture)
    }

    /// Captures the value of a parameter; `None` if it holds a control character.
    pub(super) fn of_value(value: &str) -> Option<Self> {
        let mut capture = Self::default();
        if !capture.push_part(&decode_value(value)) {
            return None;
        }
        capture.query.clear();
        encode(value, b":@/?", &mut capture.query);
        Some(capture)
    }

    pub(super) fn push_part(&mut self, decoded: &[u8]) -> bool {
        encode_bytes(decoded, b"!$&'()*+,;=:@", &mut self.path);
        encode_bytes(decoded, b":@", &mut self.query);
        is_text(decoded)
    }

    pub(super) fn push_segment(&mut self, segment: &PathSegment) -> bool {
        encode(&segment.raw, b":@", &mut self.path);
        encode_bytes(&segment.decoded, b":@", &mut self.query);
        is_text(&segment.decoded)
    }

    pub(super) fn push_slash(&mut self) {
        self.path.push('/');
        self.query.push('/');
    }
}

fn is_text(decoded: &[u8]) -> bool {
    !decoded.iter().any(u8::is_ascii_control)
}

/// Decodes the value of a parameter, in which `+` is a space.
pub(super) fn decode_value(value: &str) -> Vec<u8> {
    decode_leniently(&value.replace('+', "%20"))
}
