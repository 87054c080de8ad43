//! The Debian package: installed, run as its unit runs it, removed and purged.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Stdio};

use cachecompress_test::client::fetch;
use cachecompress_test::tools::{built_package, require};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::*;
use crate::machine::Machine;

const CONFIGURATION: &str = "/etc/cachecompress/cachecompress.toml";
/// The user and the rights that the unit gives the program.
const AS_THE_UNIT: &str = "setpriv --reuid=cachecompress --regid=cachecompress --init-groups \
                           --bounding-set=-all --inh-caps=-all --no-new-privs --";

/// The program of the package, with sockets as systemd passes them. It is killed when dropped.
struct Service {
    child: Child,
    site: SocketAddr,
    admin: SocketAddr,
}

impl Service {
    fn start(machine: &Machine) -> Self {
        let [(site, site_fd), (admin, admin_fd)] = [listen(), listen()];
        let mut command = machine.command(AS_THE_UNIT);
        let pass =
            "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\" 3<&0 4<&2 </dev/null 2>>/tmp/cachecompress.log";
        command.args(["sh", "-c", pass, "sh", "/usr/bin/cachecompress", "serve", "--config"]);
        command.arg(CONFIGURATION).args(PATIENT.split(' '));
        command.env("LISTEN_FDNAMES", "cachecompress.socket:admin");
        command.stdin(Stdio::from(site_fd)).stderr(Stdio::from(admin_fd)).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = format!("admin on http://{admin}");
        assert!(lines.any(|line| line.unwrap() == ready), "it does not start");
        Self { child, site, admin }
    }

    fn end(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = eventually("the program's end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen() -> (SocketAddr, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap(), listener.into())
}

/// A machine with the package.
#[track_caller]
pub(crate) fn installed() -> Option<Machine> {
    let package = built_package("deb")?;
    require("dpkg")?;
    let machine = Machine::new()?;
    let name = "/var/tmp/cachecompress.deb";
    fs::copy(package, machine.path(name)).unwrap();
    machine.run(&format!("apt-get install --yes --no-install-recommends {name}"));
    Some(machine)
}

#[test]
fn debian_package_is_installed_run_removed_and_purged() {
    let Some(machine) = installed() else { return };
    assert_eq!(
        machine.run("dpkg-query --show --showformat=${Status} cachecompress"),
        "install ok installed"
    );
    let cache = fs::metadata(machine.path("/var/cache/cachecompress")).unwrap();
    let user = machine.run("id --user cachecompress").trim().parse::<u32>().unwrap();
    assert_eq!((cache.uid(), cache.mode() & 0o777), (user, 0o700));
    assert_ne!(user, 0);
    for unit in [
        "sockets.target.wants/cachecompress.socket",
        "multi-user.target.wants/cachecompress.service",
    ] {
        let link = machine.path("/etc/systemd/system").join(unit);
        assert!(link.symlink_metadata().is_ok(), "{unit} is not enabled");
    }
    let conffiles = machine.run("dpkg-query --show --showformat=${Conffiles} cachecompress");
    assert!(conffiles.contains(CONFIGURATION), "{conffiles}");
    machine.run(&format!("cachecompress config check --config {CONFIGURATION}"));
    for file in [
        "/usr/share/man/man1/cachecompress-serve.1.gz",
        "/usr/share/bash-completion/completions/cachecompress",
    ] {
        assert!(machine.path(file).is_file(), "{file} is missing");
    }

    let mut service = Service::start(&machine);
    let welcome = fs::read(repository_file("deploy/welcome/index.html")).unwrap();
    assert_is(&fetch(service.site, &Request::get("/").accept("gzip")).unwrap(), &welcome, "gzip");
    machine.run(&format!("cachecompress healthcheck --admin {}", service.admin));
    service.end();
    let verified = machine.run(&format!("cachecompress verify --config {CONFIGURATION}"));
    assert!(verified.contains(": 1 whole"), "{verified}");

    machine.run("apt-get remove --yes cachecompress");
    assert!(!machine.path("/usr/bin/cachecompress").exists());
    assert!(machine.path(CONFIGURATION).exists());
    machine.run("apt-get purge --yes cachecompress");
    for gone in [CONFIGURATION, "/var/cache/cachecompress", "/usr/share/cachecompress"] {
        assert!(!machine.path(gone).exists(), "{gone} is left");
    }
    let link = machine.path("/etc/systemd/system/sockets.target.wants/cachecompress.socket");
    assert!(link.symlink_metadata().is_err(), "the socket is still enabled");
}

fn repository_file(path: &str) -> PathBuf {
    crate::repository().join(path)
}
