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
use crate::flag_values::{Level, LogTarget, TypeRule};
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
/// If the directory, an address, the access log or a runtime cannot be had. Nothing was served
/// then.
pub(crate) fn run(args: ServeArgs, printer: Printer) -> Result<(), Failure> {
    let config = ServeConfig::resolve(args);
    logging::init(config.log_level, config.log_format);
    let budget = FdBudget::new(config.threads, config.max_connections, config.max_open_files);
    let source = open_directory(&config)?;
    let few = |error| {
        Failure::Runtime(format!("cannot start threads: {error}; try fewer with --threads"))
    };
    let workers = Workers::start(config.threads).map_err(few)?;
    // Signals and the admin listener have a runtime that no request holds up.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(few)?;
    let log = config.access_log.clone().map(AccessLog::start).transpose()?;
    let log = log.map(|(log, thread)| (log, Arc::new(thread)));
    let outcome = runtime.block_on(serve(&config, budget, source, &workers, log.as_ref(), printer));
    // Requests that did not finish in time are dropped here, and write their lines.
    workers.end();
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    if let Some((_, thread)) = log {
        thread.close(LOG_CLOSE_TIMEOUT);
    }
    outcome
}

fn open_directory(config: &ServeConfig) -> Result<Directory, Failure> {
    let opened = Directory::new(&config.dir);
    opened.map(|directory| directory.symlinks(config.symlinks)).map_err(|error| {
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
    config: &ServeConfig,
    source: Directory,
    budget: FdBudget,
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
    for Level { coding, level } in &config.levels {
        builder = builder.level(coding.clone(), *level);
    }
    for TypeRule { name, media_type } in &config.types {
        builder = builder.media_type(name.clone(), media_type.clone());
    }
    if let Some(value) = &config.cache_control {
        builder = builder.default_cache_control(value.clone());
    }
    builder.build().map_err(Failure::from)
}

/// Binds the site's addresses and the admin listener's.
fn bind_all(config: &ServeConfig) -> Result<(Vec<Listeners>, Option<Listeners>), Failure> {
    let site = config.listen.iter().map(|address| bind(*address, "--listen", config.threads));
    let admin = config.admin.map(|address| bind(address, "--admin", 1));
    Ok((site.collect::<Result<_, _>>()?, admin.transpose()?))
}

/// Serves on all addresses until a signal comes, then drains the connections.
async fn serve(
    config: &ServeConfig,
    budget: FdBudget,
    source: Directory,
    workers: &Workers,
    log: Option<&(AccessLog, Arc<LogThread>)>,
    printer: Printer,
) -> Result<(), Failure> {
    // Nothing is announced while something is still missing.
    let (site_listeners, admin_listeners) = bind_all(config)?;
    let site = build_site(config, source, budget)?;
    let cannot = |error| Failure::Runtime(format!("cannot listen for signals: {error}"));
    let mut signals = Signals::install().map_err(cannot)?;
    let (log, log_thread) = log.cloned().unzip();
    if let (Some(log), Some(LogTarget::File(_))) = (log.clone(), &config.access_log) {
        on_hangup(move || log.reopen()).map_err(cannot)?;
    }

    let server = HttpServer::new(config.limits);
    let (site_drain, admin_drain) = (Drain::new(), Drain::new());
    let limit = Arc::new(Semaphore::new(budget.connections));
    let admission = {
        let (site, max_headers) = (site.clone(), config.limits.headers);
        let permits = Arc::new(Semaphore::new(budget.requests));
        let sendfile = config.sendfile != Sendfile::Off;
        move |client: SocketAddr, stream: &Stream| Admission {
            site: if sendfile { site.on(stream.connection()) } else { site.clone() },
            log: log.clone(),
            client: client.ip(),
            permits: Arc::clone(&permits),
            max_headers,
        }
    };
    for Listeners { address, sockets } in site_listeners {
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
    let admin = Arc::new(Admin::new(site.clone()));
    if let Some(listeners) = admin_listeners {
        serve_admin(listeners, &admin, &server, budget.admin, &admin_drain, printer);
    }

    let signal = signals.next().await;
    let seconds = DRAIN_TIMEOUT.as_secs();
    tracing::info!(signal = signal.name, "ending: finishing what runs within {seconds} s");
    admin.not_ready();
    exit_on_next(signals, log_thread);
    let left = site_drain.finish(DRAIN_TIMEOUT).await;
    if left > 0 {
        tracing::warn!(connections = left, "not finished in time; closing them");
    }
    admin_drain.finish(ADMIN_DRAIN_TIMEOUT).await;
    site.shutdown(Shutdown::Drop).await;
    Ok(())
}

/// Spawns the admin listener on the runtime of the caller.
fn serve_admin(
    listeners: Listeners,
    admin: &Arc<Admin>,
    server: &HttpServer,
    connections: usize,
    drain: &Drain,
    printer: Printer,
) {
    let Listeners { address, sockets } = listeners;
    printer.line(format_args!("admin on http://{address}"));
    let limit = Arc::new(Semaphore::new(connections));
    let (admin, server) = (Arc::clone(admin), server.clone());
    let serve = move |stream: TcpStream, _, draining| {
        let (server, admin) = (server.clone(), Arc::clone(&admin));
        async move {
            let respond = move |request, running| Arc::clone(&admin).answer(request, running);
            server.serve(stream.into(), respond, draining).await;
        }
    };
    for socket in sockets {
        let (limit, draining) = (Arc::clone(&limit), drain.subscribe());
        tokio::spawn(listener::accept(socket, limit, draining, serve.clone()));
    }
}

/// Spawns a task that exits at the next signal, without waiting for requests.
fn exit_on_next(mut signals: Signals, log: Option<Arc<LogThread>>) {
    tokio::spawn(async move {
        let signal = signals.next().await;
        tracing::warn!(signal = signal.name, "ending at once");
        if let Some(log) = log {
            log.close(LOG_ABORT_TIMEOUT);
        }
        std::process::exit(signal.exit_code);
    });
}
