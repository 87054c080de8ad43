//! `cachecompress get`

mod client;
mod delta;
mod download;
mod kept;
mod meter;
mod report;
mod target;
mod transfer;
mod trouble;
mod verify;

use std::cell::OnceCell;

use http::{StatusCode, header};

use self::client::Client;
use self::download::{Download, Outcome};
use self::kept::Kept;
use self::report::Report;
use self::target::Target;
use self::trouble::Trouble;
use self::verify::{Expected, Verdict};
use super::progress_bar::CommandProgress;
use crate::cli::GetArgs;
use crate::exit::{ExitStatus, Failure};
use crate::printer::Printer;

/// Brings a file to the content of a URL, or tells whether it has that content.
///
/// # Errors
///
/// If the file cannot be had, verified or written.
pub(crate) fn run(args: GetArgs, printer: Printer) -> Result<ExitStatus, Failure> {
    if args.output.as_os_str() == "-" {
        let sentence = "get writes no stdout, since nothing is handed on before it is verified; name \
                        a file: -o FILE";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let client = Client::new(args.url, args.cacert.as_deref(), args.timeout)?;
    let target = Target::open(&args.output)?;
    let report = Report::new(client.url(), &target, args.json);
    if args.check {
        let progress = CommandProgress::start(printer, "checking");
        return check(&client, &target, report, progress);
    }
    let kept = Kept::open(&target)?;
    let progress = CommandProgress::start(printer, "getting");
    let dictionary = OnceCell::new();
    let mut download = Download::new(&client, &target, &progress, kept, &dictionary, args.retries);
    let outcome = download.run();
    let Download { mut kept, meter, .. } = download;
    match outcome {
        Ok(Outcome::Current) => {
            kept.discard();
            target.tidy();
            report.current(progress, &meter);
        }
        Ok(Outcome::New(whole)) => {
            if let Err(error) = target.replace(&whole.new) {
                let sentence = format!("cannot replace {}: {error}", target.shown());
                return stopped(Trouble::Last(sentence), kept.keep(), report, progress);
            }
            kept.discard();
            report.replaced(progress, &meter, &whole, target.present.is_some());
        }
        Err(trouble) => {
            if matches!(trouble, Trouble::Full(_) | Trouble::Restart(_) | Trouble::Delta(_)) {
                kept.discard();
            }
            return stopped(trouble, kept.keep(), report, progress);
        }
    }
    Ok(ExitStatus::Success)
}

/// Ends a run that did not come to its end.
fn stopped(
    trouble: Trouble,
    kept: u64,
    report: Report,
    progress: CommandProgress,
) -> Result<ExitStatus, Failure> {
    let sentence = match trouble {
        Trouble::Interrupted => {
            report.interrupted(progress, kept);
            return Ok(ExitStatus::Interrupted);
        }
        Trouble::Transient(transient) => transient.sentence,
        Trouble::Unreached(sentence)
        | Trouble::Delta(sentence)
        | Trouble::Restart(sentence)
        | Trouble::Full(sentence)
        | Trouble::Last(sentence) => sentence,
    };
    progress.clear();
    Err(Failure::Runtime(sentence))
}

/// Tells whether the file has the content of the URL.
fn check(
    client: &Client,
    target: &Target,
    report: Report,
    progress: CommandProgress,
) -> Result<ExitStatus, Failure> {
    let present = target.present;
    let head =
        match download::ask(client, present.as_ref().map(|present| &present.digest), &progress) {
            Ok(head) => head,
            Err(trouble) => return stopped(trouble, 0, report, progress),
        };
    let Some(present) =
        present.filter(|_| matches!(head.status, StatusCode::OK | StatusCode::NOT_MODIFIED))
    else {
        return match head.status {
            StatusCode::OK => Ok(report.stale(progress)),
            _ => stopped(download::refused(client, &head), 0, report, progress),
        };
    };
    if head.status == StatusCode::NOT_MODIFIED {
        return Ok(report.checked(progress));
    }
    let coding = match transfer::parse_coding(head.content_encoding().as_deref()) {
        Ok(coding) => coding,
        Err(trouble) => return stopped(trouble, 0, report, progress),
    };
    let expected = Expected::of(&head, coding);
    let len = head.field(header::CONTENT_LENGTH).and_then(|len| len.parse::<u64>().ok());
    let is_other_length = coding.is_none() && len.is_some_and(|len| len != present.len);
    match expected.map_or(Verdict::Unknown, |expected| expected.judge(&present.digest)) {
        Verdict::Same => Ok(report.checked(progress)),
        Verdict::Other => Ok(report.stale(progress)),
        Verdict::Unknown if is_other_length => Ok(report.stale(progress)),
        Verdict::Unknown => {
            progress.clear();
            let shown = target.shown();
            Err(Failure::Runtime(format!(
                "the server tells no digest, so only a download shows whether {shown} is current"
            )))
        }
    }
}
