//! A collector of OpenTelemetry on a loopback address, which keeps what it gets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// A batch as it came.
#[derive(Clone)]
pub(super) struct Batch {
    /// The head of the request, in lower case.
    pub(super) head: String,
    body: Vec<u8>,
}

pub(super) struct Collector {
    address: SocketAddr,
    batches: Arc<Mutex<Vec<Batch>>>,
}

impl Collector {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let batches = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&batches);
        std::thread::spawn(move || accept(&listener, &kept));
        Self { address, batches }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn batches(&self) -> Vec<Batch> {
        self.batches.lock().unwrap().clone()
    }

    /// All spans so far, each with its resource.
    pub(super) fn spans(&self) -> Vec<(Resource, Span)> {
        let batches = self.batches().into_iter().filter_map(|batch| {
            let is_of_traces = batch.head.starts_with("post /v1/traces ");
            is_of_traces.then(|| ExportTraceServiceRequest::decode(&batch.body[..]).unwrap())
        });
        let all = batches.flat_map(|batch| batch.resource_spans).flat_map(|spans| {
            let resource = spans.resource.unwrap();
            let each = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            each.map(|span| (resource.clone(), span)).collect::<Vec<_>>()
        });
        all.collect()
    }

    /// The metrics of the last batch of them.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let batches = self.batches();
        let last = batches.iter().rfind(|batch| batch.head.starts_with("post /v1/metrics "));
        let Some(batch) = last else { return Vec::new() };
        let batch = ExportMetricsServiceRequest::decode(&batch.body[..]).unwrap();
        let scopes = batch.resource_metrics.into_iter().flat_map(|metrics| metrics.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).collect()
    }
}

/// Collects what comes to `listener`, for ever.
pub(super) fn accept(listener: &TcpListener, batches: &Arc<Mutex<Vec<Batch>>>) {
    for stream in listener.incoming() {
        let (stream, batches) = (stream.unwrap(), Arc::clone(batches));
        std::thread::spawn(move || serve(stream, &batches));
    }
}

/// Answers the requests of one connection.
fn serve(mut stream: TcpStream, batches: &Mutex<Vec<Batch>>) {
    let mut received = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break String::from_utf8(received.drain(..end + 4).collect()).unwrap();
            }
            if !receive(&mut stream, &mut received) {
                return;
            }
        };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        while received.len() < length {
            assert!(receive(&mut stream, &mut received), "a batch ends early");
        }
        let body = received.drain(..length).collect();
        batches.lock().unwrap().push(Batch { head, body });
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

fn receive(stream: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    let mut piece = [0; 16 << 10];
    match stream.read(&mut piece) {
        Ok(0) | Err(_) => false,
        Ok(count) => {
            received.extend_from_slice(&piece[..count]);
            true
        }
    }
}

/// The value of an attribute as text; empty if there is none.
pub(super) fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()).and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => panic!("{key} is {other:?}"),
        None => String::new(),
    }
}
