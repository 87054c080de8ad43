//! The bound of one field of the access log, whose text comes from a client.

use std::fmt::Write as _;

use crate::limits::LOG_FIELD_BYTES;

/// Adds `text` to `line`, escaped and bounded.
pub(crate) fn escape(line: &mut String, text: &[u8]) {
    push_bounded(line, text.iter(), |line, byte| match byte {
        b'"' | b'\\' => drop(write!(line, "\\x{byte:02X}")),
        b' '..=b'~' => line.push(char::from(*byte)),
        _ => drop(write!(line, "\\x{byte:02X}")),
    });
}

/// Adds `pieces` to `line`, each as `escape` writes it, up to [`LOG_FIELD_BYTES`]. A longer field
/// ends with three dots, and within no piece.
pub(super) fn push_bounded<T>(
    line: &mut String,
    pieces: impl Iterator<Item = T>,
    escape: impl Fn(&mut String, T),
) {
    const CUT: &str = "...";
    let begin = line.len();
    // The line's length before the first piece that a cut would remove.
    let mut cut_at = begin;
    for piece in pieces {
        escape(line, piece);
        let length = line.len() - begin;
        if length <= LOG_FIELD_BYTES - CUT.len() {
            cut_at = line.len();
        } else if length > LOG_FIELD_BYTES {
            line.truncate(cut_at);
            line.push_str(CUT);
            return;
        }
    }
}
