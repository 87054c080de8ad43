//! `healthcheck`, which is all that an image without other programs has.

use std::net::TcpListener;
use std::process::{Output, Stdio};

use cachecompress_test::server::{command, output};

use crate::common::*;

fn check(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut healthcheck = command(Path::new(PROGRAM));
    healthcheck.arg("healthcheck").args(arguments).envs(environment.iter().copied());
    output(healthcheck.stdin(Stdio::null()))
}

#[track_caller]
fn assert_says(output: &Output, code: i32, text: &str) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{stdout}");
    assert!(stdout.contains(text) && stdout.lines().count() == 1, "{stdout}");
}

#[test]
fn ready_server_is_healthy_until_it_ends() {
    let site = Site::with("a.txt", b"x");
    let mut server = launch(&site).start();
    let admin = server.admin().to_string();
    assert_says(&check(&["--admin", &admin], &[]), 0, "is ready");
    assert_says(&check(&[], &[("CACHECOMPRESS_ADMIN", &admin)]), 0, "is ready");
    let all = format!("0.0.0.0:{}", server.admin().port());
    assert_says(&check(&["--admin", &all], &[]), 0, "is ready");
    let name = format!("localhost:{}", server.admin().port());
    assert_says(&check(&["--admin", &name], &[]), 0, "is ready");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("site.toml");
    fs::write(&file, format!("admin = \"{admin}\"\n")).unwrap();
    assert_says(&check(&["--config", file.to_str().unwrap()], &[]), 0, "is ready");
    server.stop();
    assert_says(&check(&["--admin", &admin], &[]), 1, "does not answer");
}

/// The public listener answers as well, and knows no `/readyz`.
#[test]
fn other_answers_are_unhealthy() {
    let site = Site::with("a.txt", b"x");
    let server = start(&site);
    let other = server.address().to_string();
    assert_says(&check(&["--admin", &other], &[]), 1, "answers 404");
}

#[cfg(unix)]
#[test]
fn admin_listener_on_a_unix_socket_is_asked() {
    let site = Site::with("a.txt", b"x");
    let server = start(&site);
    let directory = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", directory.path().join("admin.sock").display());
    let mut second = command(Path::new(PROGRAM));
    second.arg("serve").arg(site.path()).args(["--listen", "127.0.0.1:0", "--admin", &socket]);
    second.arg("--cache-dir").arg(server.cache()).stdin(Stdio::null()).stdout(Stdio::null());
    let mut second = second.spawn().unwrap();
    eventually("an answer", || {
        let done = check(&["--admin", &socket], &[]);
        done.status.success().then_some(())
    });
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn silent_listener_is_unhealthy_after_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    assert_says(&check(&["--admin", &address], &[]), 1, "5 seconds are over");
}

#[test]
fn healthcheck_without_an_admin_listener_is_wrong_usage() {
    let output = check(&[], &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--admin"), "{stderr}");
}
