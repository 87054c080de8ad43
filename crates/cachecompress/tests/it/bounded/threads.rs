//! The threads of a service.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use cachecompress::Shutdown;
use cachecompress_test::service::{get, open, read, run};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;

use crate::fixture::site::{GZIP, LEN, service};

/// The number of this process's threads that are the library's.
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods, reason = "where the system lists a process's threads")]
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    tasks
        .map(name)
        .filter(|name| name.starts_with("cc-") || name.starts_with("cachecompress"))
        .count()
}

/// The test runs in a process of its own, where no other test has threads.
#[cfg(target_os = "linux")]
#[test]
fn threads_start_with_work_and_end_with_the_last_handle() {
    const TEST: &str = "threads_start_with_work_and_end_with_the_last_handle";
    const ALONE: &str = "CACHECOMPRESS_TEST_ALONE";

    if std::env::var_os(ALONE).is_none() {
        let (_, module) = module_path!().split_once("::").unwrap();
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.args(["--exact", &format!("{module}::{TEST}")]).env(ALONE, "1");
        let output = alone.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    run(async {
        let services: Vec<_> = (0..3).map(|_| service()).collect();
        assert_eq!(threads(), 0, "nothing was asked for yet");
        let mut bodies = Vec::new();
        for service in &services {
            get(service, "/a.txt", &GZIP).await;
            bodies.push(open(service, "/a.txt", &[("accept-encoding", "br")]).await);
            service.warm(service.paths().unwrap(), |_| {}).await;
        }
        assert!(threads() > 0);
        let handles = services.clone();
        drop(services);
        assert!(get(&handles[0], "/a.txt", &GZIP).await.decoded() == hex(LEN, 2));
        drop(handles);
        for body in bodies {
            assert!(read(body).await.decoded() == hex(LEN, 2), "a body needs no service");
        }
        until(|| threads() == 0).await;
        let service = service();
        get(&service, "/a.txt", &GZIP).await;
        service.shutdown(Shutdown::Finish).await;
        drop(service);
        until(|| threads() == 0).await;
    });
}
