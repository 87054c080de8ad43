//! Every message of the library goes through its `log`, which escapes and limits it.

use crate::sources::{Source, hold};
use crate::syntax::{each_stretch, is_ident};

/// The room that may call `tracing`.
const LOG: &str = "log";

/// Complains of `tracing` outside of [`LOG`].
fn messages_go_through_the_log(source: &Source) -> Vec<String> {
    if source.room().is_none_or(|room| room == LOG) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    each_stretch(source.tokens(), &mut |tokens| {
        for token in tokens.iter().filter(|token| is_ident(token, "tracing")) {
            let line = token.span().start().line;
            complaints.push(source.complaint(line, "`tracing`; use `crate::log`"));
        }
    });
    complaints
}

#[test]
fn library_sends_no_message_of_its_own() {
    hold(messages_go_through_the_log);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{bites, library, passes};

    #[test]
    fn message_beside_the_log_is_found() {
        for text in [
            "fn f() { tracing::warn!(%path, \"cannot read\"); }",
            "use tracing::error;",
            "fn f() { g(|| tracing::debug!(\"x\")); }",
        ] {
            bites(messages_go_through_the_log, &library("cache/store.rs", text));
        }
    }

    #[test]
    fn log_itself_passes() {
        let call = "fn f() { tracing::warn!(\"x\"); }";
        passes(messages_go_through_the_log, &library("log.rs", call));
        passes(
            messages_go_through_the_log,
            &library("cache/a.rs", "fn f() { log::warn!(\"x\"); }"),
        );
    }
}
