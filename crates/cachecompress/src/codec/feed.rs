//! Checks the pieces that an encoding is fed.

use crate::error::{Error, ErrorKind};
use crate::limits::PIECE;

/// A count of the source bytes that one encoding still expects.
///
/// Every piece but the last must be [`PIECE`] bytes long, and all of them together as long as the
/// source: only then is the output a pure function of the source.
#[derive(Debug)]
pub(super) struct Feed {
    left: u64,
    ended: bool,
}

impl Feed {
    pub(super) fn new(source_len: u64) -> Self {
        Self { left: source_len, ended: false }
    }

    /// Counts the next piece.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), Error> {
        let len = piece.len() as u64;
        if len > self.left {
            return Err(Error::new(
                ErrorKind::SourceChanged,
                "the source is longer than its encoder was told",
            ));
        }
        if piece.len() > PIECE || (self.ended && len > 0) {
            return Err(Error::new(
                ErrorKind::Encoder,
                "an encoder was fed a piece of another size than 64 KiB before the last one",
            ));
        }
        self.left -= len;
        self.ended |= piece.len() < PIECE;
        Ok(())
    }

    /// Checks that all of the source has been fed.
    pub(super) fn finish(&self) -> Result<(), Error> {
        if self.left > 0 {
            return Err(Error::new(
                ErrorKind::SourceChanged,
                "the source is shorter than its encoder was told",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_takes_a_short_piece_only_at_the_end() {
        let piece = vec![0; PIECE + 1];
        let mut feed = Feed::new(2 * PIECE as u64 + 1);
        assert!(feed.finish().is_err());
        assert!(feed.take(&piece).is_err(), "a piece too long");
        assert!(feed.take(&piece[..PIECE]).is_ok());
        assert!(feed.take(&piece[..PIECE]).is_ok());
        assert!(feed.take(&piece[..2]).is_err(), "beyond the end");
        assert!(feed.take(&piece[..1]).is_ok());
        assert!(feed.finish().is_ok());

        let mut feed = Feed::new(10);
        assert!(feed.take(&piece[..5]).is_ok());
        assert!(feed.take(&piece[..5]).is_err(), "a piece after a short one");
        assert_eq!(feed.finish().map_err(|error| error.kind()), Err(ErrorKind::SourceChanged));
    }
}
