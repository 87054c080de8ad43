//! nginx and Caddy, with the configuration that a page has for them.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use cachecompress_test::server;
use cachecompress_test::tools::require;

use crate::common::*;
use crate::page::Block;
use crate::stage::{Stage, own_address};

/// A running server beside the program. It is killed when dropped.
pub(crate) struct Peer(Child);

impl Peer {
    /// nginx with this block in `http`.
    pub(crate) fn nginx(stage: &Stage, block: &Block) -> Self {
        let nginx = require("nginx").unwrap();
        let address = own_address();
        let home = stage.path("nginx");
        let servers = stage
            .mapped(&block.text)
            .replace("listen 80;", &format!("listen {address}:10080;"))
            .replace("listen 443 ssl", &format!("listen {address}:10443 ssl"));
        let home = home.display();
        stage.write(
            "nginx/nginx.conf",
            &format!(
                "daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;\n\
                 events {{}}\n\
                 http {{\n\
                 include /etc/nginx/mime.types; access_log off; port_in_redirect off;\n\
                 client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;\n\
                 fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;\n\
                 {servers}\n\
                 }}\n"
            ),
        );
        let mut command = server::command(&nginx);
        command.args(["-c", "nginx.conf", "-p"]).arg(stage.path("nginx"));
        let output = server::output(
            server::command(&nginx).args(["-t", "-c", "nginx.conf", "-p"]).arg(stage.path("nginx")),
        );
        assert!(output.status.success(), "{}: {output:?}", block.place);
        // A server without TLS has the other port only.
        let port = if servers.contains(":10443") { 10443 } else { 10080 };
        Self::start(stage, command, &address, port)
    }

    /// Caddy with this file. The certificate is given to it, as there is no authority here.
    pub(crate) fn caddy(stage: &Stage, block: &Block) -> Self {
        let caddy = require("caddy").unwrap();
        let address = own_address();
        let certificate = stage.path("etc/letsencrypt/live/example.org");
        let certificate = certificate.display();
        let sites = stage.mapped(&block.text).replacen(
            "example.org {\n",
            &format!(
                "example.org {{\n\ttls {certificate}/fullchain.pem {certificate}/privkey.pem\n"
            ),
            1,
        );
        stage.write(
            "caddy/Caddyfile",
            &format!(
                "{{\n\tadmin off\n\thttp_port 10080\n\thttps_port 10443\n\t\
                 default_bind {address}\n}}\n{sites}"
            ),
        );
        let mut command = server::command(&caddy);
        command.args(["run", "--config", "Caddyfile"]).current_dir(stage.path("caddy"));
        command.env("HOME", stage.path("caddy"));
        Self::start(stage, command, &address, 10443)
    }

    fn start(stage: &Stage, mut command: Command, address: &str, port: u16) -> Self {
        let log = fs::File::create(stage.path("peer.log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut peer = Self(child);
        eventually("the peer's port", || {
            let ended = peer.0.try_wait().unwrap();
            let log = || fs::read_to_string(stage.path("peer.log")).unwrap();
            assert!(ended.is_none(), "the peer has ended: {}", log());
            TcpStream::connect(format!("{address}:{port}")).ok()
        });
        stage.curl_finds("peer", address);
        peer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
