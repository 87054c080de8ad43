//! The bound of one field of the access log, whose text comes from a client.

use crate::limits::LOG_FIELD_BYTES;

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
