//! Whether bytes are text in UTF-8, found piece by piece.

use memchr::{memchr, memchr3};

/// The result of a look at the bytes of a file, as far as its media type depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Text {
    /// Nobody looked at the bytes.
    #[default]
    Unknown,
    /// No UTF-8: binary, or text in another encoding.
    Other,
    /// UTF-8.
    Utf8,
}

/// The reason for a look at the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The name tells that it is text. The bytes tell whether that is in UTF-8.
    Encoding,
    /// The name tells nothing. The bytes tell whether it is text at all.
    Kind,
}

/// A look at the bytes of a file, which come in pieces of any length.
///
/// - [`Question::Encoding`]: the bytes are valid UTF-8 without NUL, so no UTF-16. If they are ASCII,
///   they have no ESC, SO and SI either, by which ISO-2022-JP and its relatives hide in ASCII.
/// - [`Question::Kind`]: the bytes are valid UTF-8 without control characters of ASCII other than
///   tab, line feed, form feed and carriage return.
///
/// Nothing is looked at behind the first byte that settles the answer.
#[derive(Debug)]
pub(crate) struct TextCheck {
    question: Question,
    is_utf8: bool,
    is_ascii: bool,
    shifts: bool,
    /// The beginning of a character that goes on in the next piece.
    begun: [u8; 4],
    begun_len: usize,
}

/// The bytes that are judged at once. They stay in the processor's nearest cache for both looks.
const BLOCK: usize = 16 * 1024;

impl TextCheck {
    pub(crate) fn new(question: Question) -> Self {
        Self { question, is_utf8: true, is_ascii: true, shifts: false, begun: [0; 4], begun_len: 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK) {
            if !self.is_utf8 {
                return;
            }
            self.is_utf8 = self.take(block);
        }
    }

    pub(crate) fn finish(self) -> Text {
        let shifted = self.is_ascii && self.shifts;
        match self.is_utf8 && self.begun_len == 0 && !shifted {
            true => Text::Utf8,
            false => Text::Other,
        }
    }

    /// Takes one block. Returns whether the text may still be UTF-8.
    fn take(&mut self, block: &[u8]) -> bool {
        let refused = match self.question {
            Question::Encoding => memchr(0, block).is_some(),
            Question::Kind => has_control(block),
        };
        if refused {
            return false;
        }
        let Some(rest) = self.end_character(block) else { return false };
        match simdutf8::compat::from_utf8(rest) {
            Ok(_) => {}
            Err(error) if error.error_len().is_none() => {
                let begun = &rest[error.valid_up_to()..];
                self.begun[..begun.len()].copy_from_slice(begun);
                self.begun_len = begun.len();
            }
            Err(_) => return false,
        }
        self.is_ascii = self.is_ascii && block.is_ascii();
        // Only a text that is ASCII so far can turn out to be shifted.
        self.shifts = self.is_ascii && (self.shifts || has_shift(block));
        true
    }

    /// Ends the character that the last block began. Returns the rest of the block; `None` if the
    /// character is broken.
    fn end_character<'a>(&mut self, block: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = block;
        while self.begun_len > 0 {
            let Some((&next, behind)) = rest.split_first() else { break };
            *self.begun.get_mut(self.begun_len)? = next;
            self.begun_len += 1;
            rest = behind;
            match std::str::from_utf8(&self.begun[..self.begun_len]) {
                Ok(_) => self.begun_len = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return None,
            }
        }
        Some(rest)
    }
}

/// Looks at `bytes` as a whole.
pub(crate) fn look(question: Option<Question>, bytes: &[u8]) -> Text {
    let Some(question) = question else { return Text::Unknown };
    let mut check = TextCheck::new(question);
    check.update(bytes);
    check.finish()
}

/// Whether a byte is a control character that text has none of. It goes through all of them, which the
/// compiler turns into vectors.
fn has_control(bytes: &[u8]) -> bool {
    let is_control = |byte: u8| {
        (byte < b' ') & !matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r') | (byte == 0x7f)
    };
    bytes.iter().fold(false, |found, byte| found | is_control(*byte))
}

/// Whether a byte is ESC, SO or SI, by which encodings of seven bits change their alphabet (ISO/IEC
/// 2022).
fn has_shift(bytes: &[u8]) -> bool {
    memchr3(0x1b, 0x0e, 0x0f, bytes).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    fn encoding(bytes: &[u8]) -> Text {
        look(Some(Question::Encoding), bytes)
    }

    #[test]
    fn encoding_is_utf8_only_for_text_that_cannot_be_another_one() {
        for text in ["", "plain", "gr\u{fc}n", "\u{65e5}\u{672c}", "\u{1b}[31mr\u{f6}t", "a\u{b}b"]
        {
            assert_eq!(encoding(text.as_bytes()), Text::Utf8, "{text:?}");
        }
        for (name, bytes) in [
            ("ISO-8859-1", &b"<?xml version='1.0' encoding='ISO-8859-1'?><a>gr\xfcn</a>"[..]),
            ("Shift_JIS", b"<p>\x93\xfa\x96\x7b\x8c\xea</p>"),
            ("EUC-JP", b"<p>\xc6\xfc\xcb\xdc\xb8\xec</p>"),
            ("GBK", b"\xd6\xd0\xce\xc4"),
            ("ISO-2022-JP", b"\x1b$BF|K\\8l\x1b(B"),
            ("ISO-2022-KR", b"\x1b$)C\x0e0!\x0f"),
            ("UTF-16LE", b"<\0p\0>\0"),
            ("UTF-16LE with a mark", b"\xff\xfe<\0"),
            ("a surrogate", b"\xed\xa0\x80"),
            ("a character that ends too early", b"gr\xc3"),
        ] {
            assert_eq!(encoding(bytes), Text::Other, "{name}");
        }
    }

    #[test]
    fn kind_is_text_without_control_characters() {
        let kind = |bytes: &[u8]| look(Some(Question::Kind), bytes);
        for text in ["", "MIT License\r\n\x0c\tend\n", "gr\u{fc}n"] {
            assert_eq!(kind(text.as_bytes()), Text::Utf8, "{text:?}");
        }
        for byte in (0..0x20).chain([0x7f]).filter(|byte| !b"\t\n\x0c\r".contains(byte)) {
            let mut text = vec![b'a'; 3 * BLOCK];
            text[2 * BLOCK + 5] = byte;
            assert_eq!(kind(&text), Text::Other, "{byte:#x}");
        }
        assert_eq!(kind(b"\x7fELF\x02\x01\x01\xff"), Text::Other);
        assert_eq!(look(None, b"text"), Text::Unknown);
    }

    #[test]
    fn shift_counts_until_a_character_shows_utf8() {
        let mut text = b"\x1b[31m".to_vec();
        text.resize(3 * BLOCK, b'a');
        assert_eq!(encoding(&text), Text::Other);
        text.extend_from_slice("\u{fc}".as_bytes());
        assert_eq!(encoding(&text), Text::Utf8);
        text.extend_from_slice(b"\x1b[0m");
        assert_eq!(encoding(&text), Text::Utf8);
    }

    proptest! {
        #[test]
        fn pieces_give_the_answer_of_the_whole(
            text in "[a-zü日\u{10348}\u{1b}\n]{0,40}",
            damage in proptest::option::of((0_usize..80, proptest::num::u8::ANY)),
            piece in 1_usize..7,
        ) {
            let mut bytes = text.into_bytes();
            if let Some((at, byte)) = damage && at < bytes.len() {
                bytes[at] = byte;
            }
            for question in [Question::Encoding, Question::Kind] {
                let mut check = TextCheck::new(question);
                bytes.chunks(piece).for_each(|piece| check.update(piece));
                prop_assert_eq!(check.finish(), look(Some(question), &bytes));
            }
            let utf8 = std::str::from_utf8(&bytes).is_ok() && !bytes.contains(&0);
            let shifted = bytes.is_ascii() && bytes.iter().any(|byte| matches!(byte, 0x1b | 0x0e | 0x0f));
            prop_assert_eq!(encoding(&bytes) == Text::Utf8, utf8 && !shifted);
        }
    }
}
