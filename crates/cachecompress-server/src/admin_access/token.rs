//! The token of requests that change something.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::exit::Failure;
use crate::limits::{LONGEST_TOKEN, SHORTEST_TOKEN};
use crate::printer::EscapedPath;

/// A token, as its SHA-256.
#[derive(Clone)]
pub(crate) struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Reads the file at `path`, which has a token and perhaps an end of line.
    ///
    /// # Errors
    ///
    /// [`Failure::Runtime`] if the file cannot be read, [`Failure::Usage`] if it holds no token.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = EscapedPath(path);
        let mut text = Vec::new();
        let most = LONGEST_TOKEN as u64 + 3;
        let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut text));
        read.map_err(|error| {
            let reason = reason(&error);
            Failure::Runtime(format!("cannot read --admin-token-file {shown}: {reason}"))
        })?;
        Self::parse(&text).map_err(|reason| {
            Failure::Usage(format!("cannot use --admin-token-file {shown}: {reason}"))
        })
    }

    /// Parses the text of a file. A sentence about a mistake has nothing of it.
    fn parse(text: &[u8]) -> Result<Self, String> {
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        let token = line.strip_suffix(b"\r").unwrap_or(line);
        let (least, most) = (SHORTEST_TOKEN, LONGEST_TOKEN);
        if !(least..=most).contains(&token.len()) {
            return Err(format!(
                "its first line must have {least} to {most} characters and no line may follow; \
                 `openssl rand -hex 32` makes a token"
            ));
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(
                "a token is one line of visible ASCII characters without spaces; `openssl \
                        rand -hex 32` makes one"
                    .to_owned(),
            );
        }
        Ok(Self(Sha256::digest(token).into()))
    }

    /// Whether `given` is the token. The comparison takes as long for a wrong one, whatever part of it is
    /// right.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.ct_eq(&given).into()
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory; name a file".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_the_one_line_of_its_file() {
        for text in ["0123456789abcdef", "0123456789abcdef\n", "0123456789abcdef\r\n"] {
            let token = Token::parse(text.as_bytes()).unwrap();
            assert!(token.is(b"0123456789abcdef"), "{text:?}");
            for wrong in ["", "0123456789abcdeF", "0123456789abcdef\n", "0123456789abcdef0"] {
                assert!(!token.is(wrong.as_bytes()), "{wrong:?}");
            }
        }
    }

    #[test]
    fn text_that_is_no_token_is_refused_without_being_shown() {
        let long = "a".repeat(LONGEST_TOKEN + 1);
        for (text, reason) in [
            ("", "16 to 1024 characters"),
            ("\n", "16 to 1024 characters"),
            ("hunter2-hunter2", "16 to 1024 characters"),
            (&*long, "16 to 1024 characters"),
            ("hunter2 hunter2 hunter2", "without spaces"),
            ("hunter2-hunter2-hunter2\nmore", "visible ASCII"),
            ("hunter2-hunter2-hunter2\n\n", "visible ASCII"),
            ("\u{fc}-hunter2-hunter2-hunter2", "visible ASCII"),
        ] {
            let sentence = Token::parse(text.as_bytes()).unwrap_err();
            assert!(sentence.contains(reason), "{text:?}: {sentence}");
            assert!(!sentence.contains("hunter2"), "{sentence}");
        }
    }
}
