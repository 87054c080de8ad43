//! Metrics and traces over OTLP, as a collector receives them.

mod collector;

use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;

use cachecompress_test::server::{command, output};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use self::collector::{Collector, attribute};
use crate::common::*;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A server that sends to `endpoint`, and seldom by itself.
fn launch_to(site: &Site, endpoint: &str) -> Launch {
    launch(site)
        .env(ENDPOINT, endpoint)
        .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
}

fn text_site() -> Site {
    Site::with("app.js", &site::text(1, 50_000))
}

/// The request as a proxy sends it that has it sampled, or not.
fn traced(flags: &str) -> Request {
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    Request::get("/app.js?key=1").accept("gzip").header("traceparent", &parent)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of requests.
fn of_requests(collector: &Collector) -> Vec<Span> {
    let spans = collector.spans().into_iter().map(|(_, span)| span);
    spans.filter(|span| span.kind() == SpanKind::Server).collect()
}

#[test]
fn span_goes_on_with_the_trace_of_its_request() {
    let (site, collector) = (text_site(), Collector::start());
    let mut server = launch_to(&site, &collector.endpoint())
        .env("OTEL_SERVICE_NAME", "site")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,team=a b")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret,x-tenant=1")
        .start();
    let response = server.fetch(&traced("01"));
    let sent = response.body.len().to_string();
    assert_eq!(response.status(), 200);
    server.stop();
    let spans = collector.spans();
    let (resource, span) = spans.iter().find(|(_, span)| span.name == "GET").unwrap();
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!(span.kind(), SpanKind::Server);
    assert!(span.start_time_unix_nano > 0 && span.start_time_unix_nano <= span.end_time_unix_nano);
    let port = server.address().port().to_string();
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/app.js"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
        ("http.response.body.size", &sent),
        ("network.protocol.version", "1.1"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("client.address", "127.0.0.1"),
        ("cachecompress.outcome", "miss"),
        ("cachecompress.coding", "gzip"),
    ] {
        assert_eq!(attribute(&span.attributes, key), value, "{key}: {:?}", span.attributes);
    }
    assert!(!format!("{span:?}").contains("key=1"), "a query may hold secrets");
    for (key, value) in [
        ("service.name", "site"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("deployment.environment.name", "test"),
        ("team", "a b"),
    ] {
        assert_eq!(attribute(&resource.attributes, key), value, "{key}");
    }
    assert_eq!(attribute(&resource.attributes, "service.instance.id").len(), 32);
    let batches = collector.batches();
    assert!(
        batches.iter().all(|batch| batch.head.contains("\r\nauthorization: bearer secret\r\n"))
    );
    assert!(batches.iter().all(|batch| batch.head.contains("\r\nx-tenant: 1\r\n")));
}

#[test]
fn request_is_sampled_as_its_parent_and_the_environment_say() {
    let (site, collector) = (text_site(), Collector::start());
    let mut server = launch_to(&site, &collector.endpoint())
        .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .env("OTEL_TRACES_SAMPLER_ARG", "0")
        .start();
    assert_eq!(server.fetch(&traced("00")).status(), 200);
    assert_eq!(server.get("/app.js", "gzip").status(), 200);
    assert_eq!(server.fetch(&traced("01").method("HEAD")).status(), 200);
    server.stop();
    let spans = of_requests(&collector);
    let [span] = &*spans else { panic!("one is sampled: {spans:?}") };
    assert_eq!((span.name.as_str(), hex(&span.trace_id)), ("HEAD", TRACE.to_owned()));
}

#[test]
fn encode_and_error_have_spans_that_tell_of_them() {
    let (site, collector) = (text_site(), Collector::start());
    let mut server = launch_to(&site, &collector.endpoint()).start();
    let _ = server.until_hit(&Request::get("/app.js").accept("br"));
    assert_eq!(server.get("/missing", "br").status(), 404);
    assert_eq!(server.fetch(&Request::new("BREW", "/app.js")).status(), 405);
    server.until_idle();
    server.stop();
    let spans = collector.spans();
    let encode = spans.iter().map(|(_, span)| span).find(|span| span.name == "encode").unwrap();
    assert_eq!(encode.kind(), SpanKind::Internal);
    assert_eq!(attribute(&encode.attributes, "url.path"), "/app.js");
    assert_eq!(attribute(&encode.attributes, "cachecompress.coding"), "br");
    assert_eq!(attribute(&encode.attributes, "cachecompress.source_bytes"), "50000");
    let requests = of_requests(&collector);
    let with = |status: &str| {
        let has = |span: &&Span| attribute(&span.attributes, "http.response.status_code") == status;
        requests.iter().find(has).unwrap_or_else(|| panic!("{status}: {requests:?}"))
    };
    // A client's mistake is no failure of the server.
    let not_found = with("404");
    assert_eq!(attribute(&not_found.attributes, "cachecompress.outcome"), "error");
    assert!(not_found.status.as_ref().is_none_or(|status| status.code() == StatusCode::Unset));
    let unknown = with("405");
    assert_eq!(unknown.name, "HTTP");
    assert_eq!(attribute(&unknown.attributes, "http.request.method"), "_OTHER");
}

/// The name that Prometheus' conventions make of the name and the unit of a metric.
fn prometheus_name(metric: &Metric) -> String {
    let unit = match &*metric.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        _ => "",
    };
    let total = if matches!(metric.data, Some(Data::Sum(_))) { "_total" } else { "" };
    format!("{}{unit}{total}", metric.name.replace('.', "_"))
}

/// The sum of a metric's values whose attribute `key` is `value`.
fn sum(metrics: &[Metric], name: &str, key: &str, value: &str) -> f64 {
    let metric = metrics.iter().find(|metric| metric.name == name);
    let data = metric.and_then(|metric| metric.data.clone());
    let points = match data {
        Some(Data::Sum(sum)) => sum.data_points,
        Some(Data::Gauge(gauge)) => gauge.data_points,
        other => panic!("{name}: {other:?}"),
    };
    let points = points.into_iter().filter(|point| attribute(&point.attributes, key) == value);
    let number = |value| match value {
        Some(Value::AsInt(number)) => number as f64,
        Some(Value::AsDouble(number)) => number,
        None => panic!("{name} has no value"),
    };
    points.map(|point| number(point.value)).sum()
}

#[test]
fn metrics_are_those_of_prometheus_and_of_the_conventions() {
    let (site, collector) = (text_site(), Collector::start());
    let mut server = launch_to(&site, &collector.endpoint()).start();
    assert_eq!(server.fetch(&Request::get("/app.js").accept("gzip")).status(), 200);
    let _ = server.until_hit(&Request::get("/app.js").accept("gzip"));
    assert_eq!(server.get("/missing", "gzip").status(), 404);
    server.until_idle();
    let exposed = server.metrics();
    server.stop();
    let metrics = collector.metrics();
    let names: Vec<_> = metrics.iter().map(prometheus_name).collect();
    for family in exposed.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, _) = family.split_once(' ').unwrap();
        let has_values = exposed.lines().any(|line| line.starts_with(name));
        // The conventions have a name of their own for it.
        let is_named_otherwise = name == "cachecompress_response_seconds";
        let is_there = names.iter().any(|found| found == name);
        assert!(is_there || !has_values || is_named_otherwise, "{name} is not in {names:?}");
    }
    assert_eq!(sum(&metrics, "cachecompress.requests", "outcome", "miss"), 1.0);
    assert_eq!(sum(&metrics, "cachecompress.requests", "outcome", "error"), 1.0);
    assert_eq!(sum(&metrics, "cachecompress.encodes", "coding", "gzip"), 1.0);
    assert_eq!(sum(&metrics, "cachecompress.entries", "", ""), 1.0);
    let duration = metrics.iter().find(|metric| metric.name == "http.server.request.duration");
    let Some(Data::Histogram(duration)) = duration.unwrap().data.clone() else { panic!() };
    let misses = duration
        .data_points
        .iter()
        .filter(|point| attribute(&point.attributes, "cachecompress.outcome") == "miss");
    let [miss] = &*misses.collect::<Vec<_>>() else { panic!("{duration:?}") };
    assert_eq!((miss.count, miss.explicit_bounds.len()), (1, 14));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("url.scheme", "http"),
        ("cachecompress.coding", "gzip"),
    ] {
        assert_eq!(attribute(&miss.attributes, key), value, "{key}");
    }
    assert!(!format!("{metrics:?}").contains("app.js"), "no metric has a path");
}

/// A collector that takes nothing, in three ways: nobody listens; nobody accepts; no batch is answered.
fn dead_collectors() -> Vec<(String, Option<TcpListener>)> {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    std::thread::spawn(move || {
        let streams: Vec<_> = silent.incoming().collect();
        drop(streams);
    });
    let hung_address = hung.local_addr().unwrap();
    let url = |address| format!("http://{address}");
    vec![(url(closed), None), (url(hung_address), Some(hung)), (url(address), None)]
}

/// The collector has an hour for each batch, so that a wait for it would never end.
#[test]
fn dead_collector_holds_up_neither_requests_nor_the_end() {
    for (endpoint, _listener) in dead_collectors() {
        let site = text_site();
        let mut server = launch(&site)
            .env(ENDPOINT, &endpoint)
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")
            .env("OTEL_BSP_SCHEDULE_DELAY", "1")
            .env("OTEL_BSP_MAX_QUEUE_SIZE", "10")
            .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "10")
            .start();
        for _ in 0..200 {
            assert_eq!(server.fetch(&traced("01")).status(), 200, "{endpoint}");
        }
        assert!(server.metrics().contains("cachecompress_requests_total"), "{endpoint}");
        server.stop();
    }
}

#[test]
fn collector_that_recovers_is_told_of_in_two_lines() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = text_site();
    let server = launch_to(&site, &format!("http://{address}"))
        .args("--log-level info")
        .env("OTEL_METRICS_EXPORTER", "none")
        .env("OTEL_BSP_SCHEDULE_DELAY", "10")
        .start();
    let failure = "the OpenTelemetry collector takes nothing";
    eventually("a failure", || {
        let _ = server.fetch(&traced("01"));
        server.stderr().contains(failure).then_some(())
    });
    for _ in 0..20 {
        let _ = server.fetch(&traced("01"));
    }
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || collector::accept(&listener, &Arc::default()));
    eventually("the recovery", || {
        let _ = server.fetch(&traced("01"));
        server.stderr().contains("the OpenTelemetry collector takes batches again").then_some(())
    });
    assert_eq!(server.stderr().matches(failure).count(), 1, "{}", server.stderr());
}

#[test]
fn nothing_is_sent_without_an_endpoint_or_when_it_is_disabled() {
    let (site, collector) = (text_site(), Collector::start());
    let disabled = launch_to(&site, &collector.endpoint()).env("OTEL_SDK_DISABLED", "true");
    let without = launch(&site).env("OTEL_SERVICE_NAME", "site").env("OTEL_TRACES_SAMPLER", "x");
    for launch in [disabled, without] {
        let mut server = launch.start();
        assert_eq!(server.fetch(&traced("01")).status(), 200);
        #[cfg(target_os = "linux")]
        {
            let threads = fs::read_dir(format!("/proc/{}/task", server.id())).unwrap().flatten();
            let names =
                threads.map(|thread| fs::read_to_string(thread.path().join("comm")).unwrap());
            let names: Vec<_> = names.collect();
            assert!(!names.iter().any(|name| name.starts_with("OpenTelemetry")), "{names:?}");
        }
        server.stop();
    }
    assert_eq!(collector.batches().len(), 0);
}

#[test]
fn wrong_variable_ends_the_start_with_a_sentence() {
    let site = text_site();
    for (name, value) in [
        (ENDPOINT, "localhost:4318"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
    ] {
        let mut command = command(Path::new(PROGRAM));
        command.arg("serve").arg(site.path()).args(["--listen", "127.0.0.1:0"]);
        command.env(ENDPOINT, "http://localhost:4318").env(name, value).stdin(Stdio::null());
        let output = output(&mut command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(name) && !stderr.contains("panicked"), "{stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
    }
}
