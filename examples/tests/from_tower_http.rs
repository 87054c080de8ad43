//! Holds the comparison with tower-http to its list of differences.
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

/// The output of `beside_tower_http` as it is expected.
#[cfg(unix)]
const EXPECTED: &str = include_str!("beside_tower_http.txt");

/// Links need a Unix.
#[cfg(unix)]
#[test]
fn comparison_differs_exactly_as_listed() {
    let program = env!("CARGO_BIN_EXE_beside_tower_http");
    let output = std::process::Command::new(program).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let mut request = "";
    for (line, (found, expected)) in found.lines().zip(EXPECTED.lines()).enumerate() {
        if !found.starts_with(' ') {
            request = found;
        }
        assert_eq!(found, expected, "line {} of the list, at {request:?}", line + 1);
    }
    assert_eq!(found.lines().count(), EXPECTED.lines().count());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
}
