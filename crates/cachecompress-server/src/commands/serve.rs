//! `cachecompress serve [DIR]`

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cachecompress::{EncodeProgress, Shutdown};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};

use crate::access_log::AccessLog;
use crate::admin::{Admin, AdminConnections};
use crate::admission::Admissions;
use crate::basic_auth::Verifier;
use crate::config::ServeConfig;
use crate::config_file::{self, InForce};
use crate::connection::HttpServer;
use crate::exit::Failure;
use crate::fd_budget::FdBudget;
use crate::flag_values::ListenAddress;
use crate::inherited::Inherited;
use crate::limits::{
    ADMIN_DRAIN_TIMEOUT, BUSY_PAGES, DRAIN_TIMEOUT, ENCODES_TIMEOUT, LOG_ABORT_TIMEOUT,
    LOG_CLOSE_TIMEOUT, RELOAD_TIMEOUT, RUNTIME_TIMEOUT, TIER_FLUSH_TIMEOUT, TIER_PATIENCE,
};
use crate::listener::{BoundAddress, Listeners, SocketFiles, bind};
use crate::live::Reloader;
use crate::log_queue::{LogQueue, LogThread};
use crate::otel::OpenTelemetry;
use crate::peer::Peer;
use crate::printer::{EscapedPath, Printer};
use crate::public_listener::PublicListener;
use crate::recorder::Recorders;
use crate::reload::{ReadConfig, Reload};
use crate::shutdown::{Drain, HarmlessSignals, Signals};
use crate::supervisor::Supervisor;
use crate::telemetry::{Events, Measured, Telemetry};
use crate::tls::Tls;
use crate::variables::unknown_variables;
use crate::workers::Workers;
use crate::{announcement, inherited, listener, logging, rule_watch, site, supervisor, tier};

/// The logs of the program, each with the thread that writes it.
#[derive(Clone)]
struct Logs {
    access: Option<(AccessLog, Arc<LogThread>)>,
    stderr: (LogQueue, Arc<LogThread>),
}

impl Logs {
    /// Writes what waits, for `timeout` each.
    fn close(&self, timeout: Duration) {
        if let Some((_, thread)) = &self.access
            && !thread.close(timeout)
        {
            tracing::warn!("the access log could not be written to its end");
        }
        self.stderr.1.close(timeout);
    }

    /// Reopens the access log, after its file was renamed.
    fn reopen(&self) {
        if let Some((log, _)) = &self.access {
            log.queue().reopen();
        }
    }

    /// The names and the queues of the logs.
    fn queues(&self) -> Vec<(&'static str, LogQueue)> {
        let access = self.access.iter().map(|(log, _)| ("access", log.queue().clone()));
        access.chain([("stderr", self.stderr.0.clone())]).collect()
    }
}

/// The places that the program tells of itself in.
struct Outputs<'a> {
    logs: &'a Logs,
    otel: &'a OpenTelemetry,
    printer: Printer,
}

/// Serves until a signal ends it.
///
/// # Errors
///
/// If the directory, an address, a log or a runtime cannot be had. Nothing was served then.
pub(crate) fn run(in_force: &InForce, printer: Printer) -> Result<(), Failure> {
    let config = Arc::new(ServeConfig::resolve(in_force)?);
    let (arguments, file) = in_force.sources();
    let read = move || ServeConfig::resolve(&config_file::resolve(&arguments, file.as_deref())?);
    // This changes the environment, which other threads may read once there are any.
    let inherited = inherited::take(config.threads)?;
    // Signals and the admin listener have a runtime that no request holds up.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(few)?;
    // A log on stderr may be the first file that has reached its limit.
    let signals = {
        let _inside = runtime.enter();
        HarmlessSignals::install().map_err(deaf)?
    };
    let (queue, thread) = logging::start(config.log_level, config.log_format).map_err(few)?;
    let mut logs = Logs { access: None, stderr: (queue, Arc::new(thread)) };
    if let Some(file) = in_force.file().filter(|_| in_force.is_found) {
        tracing::info!(file = %EscapedPath(file), "found a configuration in the working directory");
    }
    for sentence in unknown_variables() {
        tracing::warn!("{sentence}");
    }
    if in_force.is_root_of_all_sites() {
        tracing::warn!("DIR wins over the roots of all [[sites]] of the file");
    }
    let read = Box::new(read);
    let outcome = run_logged(&config, inherited, read, runtime, signals, &mut logs, printer);
    logs.close(LOG_CLOSE_TIMEOUT);
    outcome
}

fn run_logged(
    config: &Arc<ServeConfig>,
    inherited: Inherited,
    read: ReadConfig,
    runtime: Runtime,
    signals: HarmlessSignals,
    logs: &mut Logs,
    printer: Printer,
) -> Result<(), Failure> {
    let budget = FdBudget::new(config.threads, config.max_connections, config.max_open_files);
    config.sites.iter().try_for_each(site::check)?;
    let otel = OpenTelemetry::start()?;
    let workers = Workers::start(config.threads).map_err(few)?;
    let access = config.access_log.clone().map(AccessLog::start).transpose()?;
    logs.access = access.map(|(log, thread)| (log, Arc::new(thread)));
    let outcome = runtime.block_on(async {
        let (reopened, hung_up) = (logs.clone(), Arc::new(Notify::new()));
        let asked = Arc::clone(&hung_up);
        signals.on_hangup(move || {
            reopened.reopen();
            hung_up.notify_one();
        });
        let outputs = Outputs { logs, otel: &otel, printer };
        serve(config, inherited, budget, (read, asked), &workers, &outputs).await
    });
    // Requests that did not finish in time are dropped here, and write their lines.
    workers.end();
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    otel.finish();
    outcome
}

fn few(error: io::Error) -> Failure {
    Failure::Runtime(format!("cannot start threads: {error}; try fewer with --threads"))
}

fn deaf(error: io::Error) -> Failure {
    Failure::Runtime(format!("cannot listen for signals: {error}"))
}

/// The listening sockets by what they are for.
struct Bound {
    site: Vec<Listeners>,
    redirect: Vec<Listeners>,
    admin: Vec<Listeners>,
}

/// Binds the addresses of the site, the redirects and the admin listener, beside the sockets that
/// are `inherited`. The default address is for a site that has no other.
fn bind_all(config: &ServeConfig, inherited: Inherited) -> Result<Bound, Failure> {
    let ServeConfig { listen, redirect_from, admin, threads, socket_mode, .. } = config;
    if !inherited.redirect.is_empty() && config.sites.iter().all(|site| site.tls.is_none()) {
        let sentence = "the socket `redirect-from` of LISTEN_FDS needs HTTPS: add --tls-cert and \
                        --tls-key, or give the socket another name";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let listen = match config.listens_by_default && !inherited.site.is_empty() {
        true => &[][..],
        false => listen,
    };
    let all: Vec<_> = listen.iter().chain(redirect_from).chain(admin).cloned().collect();
    let each = |wanted: &[ListenAddress], flag, threads, mut bound: Vec<Listeners>| {
        for address in wanted {
            bound.extend(bind(address, &all, flag, threads, *socket_mode)?);
        }
        Ok::<_, Failure>(bound)
    };
    Ok(Bound {
        site: each(listen, "--listen", *threads, inherited.site)?,
        redirect: each(redirect_from, "--redirect-from", *threads, inherited.redirect)?,
        admin: each(admin.as_slice(), "--admin", 1, inherited.admin)?,
    })
}

/// Serves on all addresses until a signal comes, then drains the connections.
async fn serve(
    config: &Arc<ServeConfig>,
    inherited: Inherited,
    budget: FdBudget,
    (read, asked): (ReadConfig, Arc<Notify>),
    workers: &Workers,
    outputs: &Outputs<'_>,
) -> Result<(), Failure> {
    let Outputs { logs, otel, printer } = *outputs;
    // Nothing is created or announced while something is still missing.
    let tls = Tls::open(config.certificates())?;
    let mut bound = bind_all(config, inherited)?;
    let events = Events::default();
    let (tell, trace) = (events.on_encode(), otel.on_encode());
    let on_encode = move |encode: &EncodeProgress| {
        tell(encode);
        trace(encode);
    };
    let reloader = Arc::new(Reloader::start(Arc::clone(config), budget.entries, tls, on_encode)?);
    let mut signals = Signals::install().map_err(deaf)?;
    let (site_drain, admin_drain) = (Drain::new(), Drain::new());
    let telemetry = measure(&reloader, events, &budget, workers, logs);
    otel.observe(&telemetry);
    let listener = PublicListener {
        admissions: admissions(config, budget, &reloader, outputs)?,
        tls: reloader.tls().cloned(),
        proxy_protocol: config.proxy_protocol,
        limit: telemetry.connection_limit(),
        recorders: (!bound.admin.is_empty()).then(|| telemetry.recorders()),
    };
    let (scheme, addresses) = (listener.scheme(), addresses(&bound.site));
    let mut files = SocketFiles::default();
    bound.site.iter_mut().chain(&mut bound.redirect).for_each(|bound| files.keep(bound));
    if let Some(tier) = reloader.tier() {
        tier.ready(TIER_PATIENCE).await;
    }
    serve_public(listener, bound.site, bound.redirect, workers, &site_drain, printer);
    let server = HttpServer::new(config.limits);
    let supervisor = Supervisor::default();
    let reload = Reload::new(read, Arc::clone(&reloader), supervisor.clone(), RELOAD_TIMEOUT);
    let admin = Arc::new(Admin::new(telemetry, Arc::clone(&reload), config.cache.clone()));
    let connections = Arc::new(AdminConnections::new(budget.admin));
    for mut listeners in bound.admin {
        files.keep(&mut listeners);
        serve_admin(listeners, &admin, &server, &connections, &admin_drain, printer);
    }

    if let Some(tls) = reloader.tls() {
        tokio::spawn(tls.clone().renew());
    }
    tokio::spawn(rule_watch::run(Arc::clone(&reloader)));
    tokio::spawn(reload.at_each(asked));
    supervisor.ready();
    let sites = &reloader.live().load_full().sites;
    announcement::announce(config, sites, scheme, &addresses, &logs.stderr.0);
    tokio::spawn(supervisor::keep_alive(workers.runtimes().cloned().collect()));

    let signal = signals.next().await;
    supervisor.stopping();
    let seconds = DRAIN_TIMEOUT.as_secs();
    tracing::info!(signal = signal.name, "ending: finishing what runs within {seconds} s");
    admin.not_ready();
    exit_on_next(signals, logs.clone());
    drop(files);
    end(&site_drain, &admin_drain, &reloader).await;
    Ok(())
}

/// The addresses of `listeners`.
fn addresses(listeners: &[Listeners]) -> Vec<BoundAddress> {
    listeners.iter().map(|listeners| listeners.address.clone()).collect()
}

/// Drains the connections to the site and to the admin listener, and gives encodes up. What was encoded is
/// stored for other replicas.
async fn end(site: &Drain, admin: &Drain, reloader: &Reloader) {
    let left = site.finish(DRAIN_TIMEOUT).await;
    if left > 0 {
        tracing::warn!(connections = left, "not finished in time; closing them");
    }
    admin.finish(ADMIN_DRAIN_TIMEOUT).await;
    // An encode may wait for a source that hangs.
    let shutdown = reloader.engine().shutdown(Shutdown::Drop);
    let _ = tokio::time::timeout(ENCODES_TIMEOUT, shutdown).await;
    if let Some(tier) = reloader.tier() {
        tier::flush(tier, TIER_FLUSH_TIMEOUT).await;
    }
}

/// Makes what stands before the sites.
fn admissions(
    config: &ServeConfig,
    budget: FdBudget,
    reloader: &Reloader,
    outputs: &Outputs<'_>,
) -> Result<Admissions, Failure> {
    Ok(Admissions {
        live: reloader.live(),
        log: outputs.logs.access.as_ref().map(|(log, _)| log.clone()),
        recorder: None,
        spans: outputs.otel.requests(),
        proxies: config.trusted_proxies.clone(),
        permits: Arc::new(Semaphore::new(budget.requests)),
        busy_pages: Arc::new(Semaphore::new(BUSY_PAGES)),
        verifier: Verifier::new()?,
        to_https: None,
    })
}

/// Begins to measure the connections and requests of the sites.
fn measure(
    reloader: &Arc<Reloader>,
    events: Events,
    budget: &FdBudget,
    workers: &Workers,
    logs: &Logs,
) -> Arc<Telemetry> {
    let parts = Measured {
        events,
        recorders: Arc::new(Recorders::new(workers.runtimes().count())),
        logs: logs.queues(),
        connections: Arc::new(Semaphore::new(budget.connections)),
        max_connections: budget.connections,
    };
    let telemetry = Arc::new(Telemetry::new(Arc::clone(reloader), parts));
    tokio::spawn(Arc::clone(&telemetry).run());
    telemetry
}

/// Starts the `listener` of the site, and its redirects to HTTPS, on the `workers`.
fn serve_public(
    listener: PublicListener,
    site: Vec<Listeners>,
    redirect: Vec<Listeners>,
    workers: &Workers,
    drain: &Drain,
    printer: Printer,
) {
    let port = site.iter().find_map(|listeners| listeners.address.port()).unwrap_or(443);
    for Listeners { address, sockets, .. } in site {
        printer.line(format_args!("listening on {}", address.announced(listener.scheme())));
        listener.start(sockets, workers, drain);
    }
    let redirecting = listener.redirecting(port);
    for Listeners { address, sockets, .. } in redirect {
        printer.line(format_args!("redirecting from {}", address.announced("http")));
        redirecting.start(sockets, workers, drain);
    }
}

/// Spawns the admin listener on the runtime of the caller.
fn serve_admin(
    listeners: Listeners,
    admin: &Arc<Admin>,
    server: &HttpServer,
    connections: &Arc<AdminConnections>,
    drain: &Drain,
    printer: Printer,
) {
    printer.line(format_args!("admin on {}", listeners.address.announced("http")));
    // Nothing waits here: the oldest connection makes room.
    let limit = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    let (admin, server, connections) = (Arc::clone(admin), server.clone(), Arc::clone(connections));
    let serve = move |transport, client, draining| {
        let (server, admin, place) = (server.clone(), Arc::clone(&admin), connections.enter());
        async move {
            let respond = |_| move |request, running| Arc::clone(&admin).answer(request, running);
            let peer = Peer::at(client);
            tokio::select! {
                () = server.serve(transport, false, None, peer, respond, draining) => {}
                () = place.lost() => tracing::debug!("an old admin connection makes room"),
            }
        }
    };
    for socket in listeners.sockets {
        let (limit, draining) = (Arc::clone(&limit), drain.subscribe());
        tokio::spawn(listener::accept(socket, limit, draining, serve.clone()));
    }
}

/// Spawns a task that exits at the next signal, without waiting for requests.
fn exit_on_next(mut signals: Signals, logs: Logs) {
    tokio::spawn(async move {
        let signal = signals.next().await;
        tracing::warn!(signal = signal.name, "ending at once");
        logs.close(LOG_ABORT_TIMEOUT);
        std::process::exit(signal.exit_code);
    });
}
