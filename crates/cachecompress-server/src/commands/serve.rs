//! `cachecompress serve [DIR]`

use std::net::SocketAddr;
use std::sync::Arc;

use cachecompress::sendfile::Stream;
use cachecompress::{Cache, Directory, ErrorKind, ServeCompressed, Shutdown};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::access_log::{AccessLog, LogThread};
use crate::admin::Admin;
use crate::admission::Admission;
use crate::cli::{Sendfile, ServeArgs};
use crate::config::{CacheChoice, ServeConfig};
use crate::connection::HttpServer;
use crate::exit::Failure;
use crate::fd_budget::FdBudget;
use crate::flag_values::{Level, LogTarget};
use crate::limits::{
    ADMIN_DRAIN_TIMEOUT, DRAIN_TIMEOUT, LOG_ABORT_TIMEOUT, LOG_CLOSE_TIMEOUT, MEMORY_CACHE_BYTES,
    RUNTIME_TIMEOUT,
};
use crate::listener::{Listeners, bind};
use crate::printer::Printer;
use crate::shutdown::{Drain, Signals, on_hangup};
use crate::workers::Workers;
use crate::{listener, logging};

/// Serves until a signal ends it.
///
/// # Errors
///
/// If the directory, an address, the access log or the runtime is not to be had; then nothing was
/// served.
pub(crate) fn run(args: ServeArgs, printer: Printer) -> Result<(), Failure> {
    let mut config = ServeConfig::resolve(args);
    logging::init(config.log_level, config.log_format);
    let budget = FdBudget::new(config.threads, config.max_connections, config.max_open_files);
    let source = open_directory(&config)?;
    let few = |error| {
        Failure::Runtime(format!("cannot start threads: {error}; try fewer with --threads"))
    };
    let workers = Workers::start(config.threads, RUNTIME_TIMEOUT).map_err(few)?;
    // For signals and the admin listener, which answers whatever the site has to do.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(few)?;
    let (log, thread) = match config.access_log.clone().map(AccessLog::start).transpose()? {
        Some((log, thread)) => (Some(log), Some(Arc::new(thread))),
        None => (None, None),
    };
    let outcome = runtime.block_on(async {
        let sockets = Sockets::bind(&config)?;
        let site = build_site(&mut config, source, &budget)?;
        serve(sockets, &workers, site, log, &config, budget, thread.clone(), printer).await
    });
    // Drops what did not finish in time; those bodies still write their lines.
    workers.end();
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    if let Some(thread) = thread {
        thread.close(LOG_CLOSE_TIMEOUT);
    }
    outcome
}

fn open_directory(config: &ServeConfig) -> Result<Directory, Failure> {
    Directory::new(&config.dir).map_err(|error| {
        let dir = config.dir.display();
        let reason = match error.kind() {
            ErrorKind::NotFound => "there is no such directory".to_owned(),
            _ => error.to_string(),
        };
        Failure::Runtime(format!(
            "cannot serve {dir}: {reason}; name a directory: `cachecompress serve DIR`"
        ))
    })
}

fn build_site(
    config: &mut ServeConfig,
    source: Directory,
    budget: &FdBudget,
) -> Result<ServeCompressed, Failure> {
    let cache = match &config.cache {
        CacheChoice::Disk { dir, max_bytes } => {
            tracing::info!(dir = %dir.display(), max_bytes, "keeping compressed files on disk");
            let cache = Cache::builder(dir).max_bytes(*max_bytes).open_entries(budget.entries);
            cache.build().map_err(Failure::from)?
        }
        CacheChoice::Memory { because } => {
            tracing::warn!(
                "keeping compressed files in memory only, up to {} MiB: {because}",
                MEMORY_CACHE_BYTES >> 20
            );
            Cache::in_memory(MEMORY_CACHE_BYTES)
        }
    };
    let mut builder = ServeCompressed::builder(source)
        .cache(cache)
        .memory_cache(config.memory_cache)
        .sendfile_sources(config.sendfile == Sendfile::All)
        .preference(config.preference.clone())
        .encode_threads(config.encode_threads)
        .queue(config.queue)
        .revalidate(config.revalidate)
        .patience(config.patience)
        .prove(config.prove)
        .spa(config.spa)
        .immutable(config.immutable)
        .original_length(config.original_length);
    for Level { coding, level } in config.levels.drain(..) {
        builder = builder.level(coding, level);
    }
    if let Some(value) = config.cache_control.take() {
        builder = builder.default_cache_control(value);
    }
    builder.build().map_err(Failure::from)
}

/// Everything bound, nothing served yet.
struct Sockets {
    site: Vec<Listeners>,
    admin: Option<Listeners>,
}

impl Sockets {
    fn bind(config: &ServeConfig) -> Result<Self, Failure> {
        let site = config.listen.iter().map(|address| bind(*address, "--listen", config.threads));
        let admin = config.admin.map(|address| bind(address, "--admin", 1));
        Ok(Self { site: site.collect::<Result<_, _>>()?, admin: admin.transpose()? })
    }
}

#[allow(clippy::too_many_arguments, reason = "all that there is comes together here, once")]
async fn serve(
    sockets: Sockets,
    workers: &Workers,
    site: ServeCompressed,
    log: Option<AccessLog>,
    config: &ServeConfig,
    budget: FdBudget,
    log_thread: Option<Arc<LogThread>>,
    printer: Printer,
) -> Result<(), Failure> {
    let cannot = |error| Failure::Runtime(format!("cannot listen for signals: {error}"));
    let mut signals = Signals::install().map_err(cannot)?;
    if let (Some(log), Some(LogTarget::File(_))) = (log.clone(), &config.access_log) {
        on_hangup(move || log.reopen()).map_err(cannot)?;
    }
    let server = HttpServer::new(config.limits);
    let (site_drain, admin_drain) = (Drain::new(), Drain::new());
    let admin = Admin::new(site.clone());

    let limit = Arc::new(Semaphore::new(budget.connections));
    let admission = {
        let (site, max_headers) = (site.clone(), config.limits.headers);
        let permits = Arc::new(Semaphore::new(budget.bodies));
        let sendfile = config.sendfile != Sendfile::Off;
        move |client: SocketAddr, stream: &Stream| Admission {
            site: if sendfile { site.on(stream.connection()) } else { site.clone() },
            log: log.clone(),
            client: client.ip(),
            permits: Arc::clone(&permits),
            max_headers,
        }
    };
    for Listeners { address, sockets } in sockets.site {
        printer.line(format_args!("listening on http://{address}"));
        for (socket, worker) in sockets.into_iter().zip(workers.runtimes()) {
            let (server, admission) = (server.clone(), admission.clone());
            let serve = move |stream, peer, draining| {
                let stream = Stream::from(stream);
                let (server, admission) = (server.clone(), admission(peer, &stream));
                async move {
                    let respond = move |request, running| admission.respond(request, running);
                    server.serve(stream, respond, draining).await;
                }
            };
            let limit = Arc::clone(&limit);
            worker.spawn(listener::accept(socket, limit, site_drain.subscribe(), serve));
        }
    }
    if let Some(bound) = sockets.admin {
        serve_admin(bound, &admin, &server, budget.admin, &admin_drain, &printer);
    }

    let signal = signals.next().await;
    let seconds = DRAIN_TIMEOUT.as_secs();
    tracing::info!(signal = signal.name, "ending: finishing what runs within {seconds} s");
    admin.not_ready();
    end_at_once_on_next(signals, log_thread);
    let left = site_drain.finish(DRAIN_TIMEOUT).await;
    if left > 0 {
        tracing::warn!(connections = left, "not finished in time; closing them");
    }
    admin_drain.finish(ADMIN_DRAIN_TIMEOUT).await;
    site.shutdown(Shutdown::Drop).await;
    Ok(())
}

fn serve_admin(
    bound: Listeners,
    admin: &Admin,
    server: &HttpServer,
    connections: usize,
    drain: &Drain,
    printer: &Printer,
) {
    let Listeners { address, sockets } = bound;
    printer.line(format_args!("admin on http://{address}"));
    let limit = Arc::new(Semaphore::new(connections));
    let (admin, server) = (admin.clone(), server.clone());
    let serve = move |stream: TcpStream, _, draining| {
        let (server, admin) = (server.clone(), admin.clone());
        async move {
            let respond = move |request, running| admin.clone().answer(request, running);
            server.serve(stream.into(), respond, draining).await;
        }
    };
    for socket in sockets {
        let (limit, draining) = (Arc::clone(&limit), drain.subscribe());
        tokio::spawn(listener::accept(socket, limit, draining, serve.clone()));
    }
}

/// A second signal ends the process without waiting for anybody.
fn end_at_once_on_next(mut signals: Signals, log: Option<Arc<LogThread>>) {
    tokio::spawn(async move {
        let signal = signals.next().await;
        tracing::warn!(signal = signal.name, "ending at once");
        if let Some(log) = log {
            log.close(LOG_ABORT_TIMEOUT);
        }
        std::process::exit(signal.exit_code);
    });
}
