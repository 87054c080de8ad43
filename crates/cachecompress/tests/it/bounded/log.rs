//! The messages that clients and those who name files can cause.

use std::fmt::{Debug, Write as _};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cachecompress::source::Found;
use cachecompress::{Error, ServeCompressed, Source, SourcePath};
use cachecompress_test::service::{get, run};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A source on a mount whose server is gone: every lookup fails.
#[derive(Debug)]
struct DeadMount;

impl Source for DeadMount {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        if path.is_root() {
            return Ok(Found::Directory);
        }
        let path = path.to_string_lossy();
        Err(Error::from(io::Error::from_raw_os_error(5)).with_path(Path::new(&*path)))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

/// The events of this thread, a text each.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl Subscriber for Events {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

/// A client wrote a line for each request, with newlines and escapes of its own.
#[test]
fn requests_below_a_dead_mount_forge_and_flood_no_log() {
    let events = Events::default();
    let subscriber = events.clone();
    tracing::subscriber::with_default(subscriber, || {
        run(async {
            let service = ServeCompressed::builder(DeadMount).build().unwrap();
            for number in 0..500 {
                let path = format!("/dead/x%0a2026%20ERROR%20forged%1b[31m%e2%80%ae{number}");
                assert_eq!(get(&service, &path, &[]).await.status, 500);
            }
        });
    });
    let events = events.0.lock().unwrap();
    let about = events.iter().filter(|event| event.contains("dead/x")).collect::<Vec<_>>();
    assert!((1..=20).contains(&about.len()), "{} of {}", about.len(), events.len());
    assert!(events.len() < 30, "{}", events.len());
    for event in &about {
        assert!(event.contains(r"dead/x\n2026 ERROR forged\u{1b}[31m\u{202e}"), "{event}");
        assert!(!event.contains(char::is_control), "{event:?}");
    }
}

#[test]
fn error_is_one_line_whatever_its_parts_hold() {
    let error = Error::new(cachecompress::ErrorKind::Io, "cannot\nread")
        .with_path(Path::new("a\nb\x1b[1m"))
        .with_cause(io::Error::other("no\r\nway\u{9b}1m"));
    let line = r"cannot\nread a\nb\u{1b}[1m: no\r\nway\u{9b}1m";
    assert_eq!(error.to_string(), line);
    assert_eq!(error.path(), Some(Path::new("a\nb\x1b[1m")), "programs get the path itself");
}
