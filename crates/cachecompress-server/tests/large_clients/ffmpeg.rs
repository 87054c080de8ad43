//! ffprobe and ffmpeg.

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{Visit, in_every_state, make};

/// A film with its index at the end, one with it at the start, and a stream in segments.
#[test]
fn ffmpeg_probes_and_seeks() {
    let (Some(ffmpeg), Some(ffprobe)) = (require("ffmpeg"), require("ffprobe")) else { return };
    let site = Site::new();
    let record = |words: &str| {
        let source = "-v error -f lavfi -i testsrc=duration=20:size=640x480:rate=25 -g 25 -q:v 2";
        make(&ffmpeg, format!("{source} {words}").split(' '), site.path());
    };
    record("-c:v mpeg4 late.mp4");
    record("-c:v mpeg4 -movflags +faststart early.mp4");
    record("-c:v mpeg4 film.mkv");
    record("-c:v mpeg2video -f hls -hls_time 2 -hls_list_size 0 stream.m3u8");
    in_every_state(&site, |visit| {
        for name in ["late.mp4", "early.mp4", "film.mkv", "stream.m3u8"] {
            let (local, remote) = (site.file(name), visit.url(&format!("/{name}")));
            let local = local.to_str().unwrap();
            let equal = |program: &Path, words: &str| {
                assert_eq!(
                    run(visit, program, words, local),
                    run(visit, program, words, &remote),
                    "{:?}: {name}: {words}",
                    visit.state
                );
            };
            equal(&ffprobe, "-v error -show_streams -show_packets -of csv FILM");
            equal(&ffmpeg, "-v error -ss 15.5 -i FILM -frames:v 3 -f framemd5 -");
            equal(&ffmpeg, "-v error -i FILM -f framemd5 -");
        }
        visit.assert_asked_for_ranges("/late.mp4");
    });
}

/// Runs a program on a film, and returns what it prints.
fn run(visit: &Visit<'_>, program: &Path, words: &str, film: &str) -> String {
    let words = words.split(' ').map(|word| if word == "FILM" { film } else { word });
    String::from_utf8(visit.run(program, words).stdout).unwrap()
}
