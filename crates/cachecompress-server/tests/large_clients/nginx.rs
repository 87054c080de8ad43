//! nginx as a proxy that fetches and keeps files in slices.

use std::process::{Child, Stdio};

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{Visit, in_every_state, site_of};

/// nginx passes its client's Accept-Encoding on with each slice, and puts the slices together.
#[test]
fn nginx_puts_slices_together() {
    let (Some(nginx), Some(curl)) = (require("nginx"), require("curl")) else { return };
    let site = site_of(&[
        ("data.json", &site::text(1, 300_000)),
        ("noise.bin", &site::random(2, 300_000)),
    ]);
    in_every_state(&site, |visit| {
        let _proxy = Proxy::start(visit, &nginx);
        for name in ["data.json", "noise.bin"] {
            for options in ["--compressed", "--no-compressed", "--compressed"] {
                let url = format!("http://proxy/{name}");
                let words = ["-sS", "--fail", "--unix-socket", "socket", options, "-o", name, &url];
                visit.run(&curl, words);
                visit.assert_same(name, name);
            }
            let words = ["-sS", "--fail", "--unix-socket", "socket", "-r", "50000-150000"];
            visit.run(
                &curl,
                words.into_iter().chain(["-o", "part", &format!("http://proxy/{name}")]),
            );
            visit.assert_bytes("part", &fs::read(site.file(name)).unwrap()[50_000..=150_000]);
            visit.assert_asked_for_ranges(name);
        }
    });
}

/// A running nginx. It is ended when dropped.
struct Proxy(Child);

impl Proxy {
    fn start(visit: &Visit<'_>, nginx: &Path) -> Self {
        let home = visit.home("");
        let (home, origin) = (home.display(), visit.url(""));
        visit.write(
            "nginx.conf",
            format!(
                "daemon off; master_process off; pid {home}pid; error_log {home}error.log;\n\
                 events {{}}\n\
                 http {{\n\
                 access_log off;\n\
                 client_body_temp_path {home}body; proxy_temp_path {home}proxy;\n\
                 fastcgi_temp_path {home}f; uwsgi_temp_path {home}u; scgi_temp_path {home}s;\n\
                 proxy_cache_path {home}cache keys_zone=slices:1m;\n\
                 server {{\n\
                 listen unix:{home}socket;\n\
                 location / {{\n\
                 slice 32k;\n\
                 proxy_cache slices; proxy_cache_key $uri$slice_range;\n\
                 proxy_cache_valid 200 206 1h;\n\
                 proxy_set_header Range $slice_range; proxy_http_version 1.1;\n\
                 proxy_pass {origin};\n\
                 }} }} }}\n"
            ),
        );
        let mut command = visit.command(nginx);
        command.arg("-p").arg(visit.home("")).args(["-c", "nginx.conf"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let proxy = Self(child);
        eventually("nginx's socket", || visit.home("socket").exists().then_some(()));
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
