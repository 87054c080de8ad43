//! The variables of OpenTelemetry's specification, as far as a wrong one would be passed over.
//!
//! The SDK reads them, and takes a default in the place of a value that it does not understand. So they
//! are checked first.

use std::ffi::OsString;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::limits::COLLECTOR_TIMEOUT;

/// The samplers that the SDK has, and whether their argument is a share.
const SAMPLERS: [(&str, bool); 6] = [
    ("always_on", false),
    ("always_off", false),
    ("traceidratio", true),
    ("parentbased_always_on", false),
    ("parentbased_always_off", false),
    ("parentbased_traceidratio", true),
];

/// The variables that hold a positive number.
const NUMBERS: [&str; 4] = [
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_METRIC_EXPORT_INTERVAL",
];

/// The signals that are wanted, each with the time that the collector has for a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signals {
    pub(super) traces: Option<Duration>,
    pub(super) metrics: Option<Duration>,
    /// Whether the environment names the service.
    pub(super) names_service: bool,
    /// Whether the environment names the instance of the service.
    pub(super) names_instance: bool,
}

/// Reads the environment by `get`. Returns `None` if nothing is to be sent: there is no endpoint, or
/// `OTEL_SDK_DISABLED` is true.
///
/// # Errors
///
/// A sentence about the first variable that is wrong.
pub(super) fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Option<Signals>, String> {
    let variables = Variables(get);
    if variables.is_disabled()? {
        return Ok(None);
    }
    let (traces, metrics) = (variables.signal("TRACES")?, variables.signal("METRICS")?);
    if traces.is_none() && metrics.is_none() {
        return Ok(None);
    }
    variables.check_sampler()?;
    for name in NUMBERS {
        variables.number(name)?;
    }
    if let Some(value) = variables.text("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")?
        && !["cumulative", "delta", "lowmemory"].contains(&&*value.to_ascii_lowercase())
    {
        let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        return Err(wrong(name, &value, "it is cumulative, delta or lowmemory"));
    }
    let resource = variables.pairs("OTEL_RESOURCE_ATTRIBUTES")?;
    let names = |name| resource.iter().any(|(key, _)| key == name);
    Ok(Some(Signals {
        traces,
        metrics,
        names_service: names("service.name") || variables.text("OTEL_SERVICE_NAME")?.is_some(),
        names_instance: names("service.instance.id"),
    }))
}

/// The environment.
struct Variables<G>(G);

impl<G: Fn(&str) -> Option<OsString>> Variables<G> {
    /// The value of a variable. An empty one counts as none, as the specification has it.
    fn text(&self, name: &str) -> Result<Option<String>, String> {
        let value = (self.0)(name).filter(|value| !value.is_empty());
        let text = value.map(OsString::into_string).transpose();
        text.map_err(|value| wrong(name, &value.to_string_lossy(), "it is no UTF-8"))
    }

    fn is_disabled(&self) -> Result<bool, String> {
        let name = "OTEL_SDK_DISABLED";
        match self.text(name)? {
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if !value.eq_ignore_ascii_case("false") => {
                Err(wrong(name, &value, "it is true or false"))
            }
            _ => Ok(false),
        }
    }

    /// The time for a batch of `signal`, if that is wanted.
    fn signal(&self, signal: &str) -> Result<Option<Duration>, String> {
        let exporter = format!("OTEL_{signal}_EXPORTER");
        match self.text(&exporter)?.as_deref() {
            Some("none") => return Ok(None),
            Some("otlp") | None => {}
            Some(other) => return Err(wrong(&exporter, other, "it is otlp or none")),
        }
        let Some((name, endpoint)) = self.of_signal(signal, "ENDPOINT")? else { return Ok(None) };
        check_endpoint(&name, &endpoint)?;
        if let Some((name, value)) = self.of_signal(signal, "PROTOCOL")?
            && value != "http/protobuf"
        {
            return Err(wrong(&name, &value, "cachecompress speaks http/protobuf only"));
        }
        if let Some((name, value)) = self.of_signal(signal, "COMPRESSION")? {
            return Err(wrong(&name, &value, "batches are sent as they are; unset it"));
        }
        if let Some((name, _)) = self.of_signal(signal, "HEADERS")? {
            self.check_headers(&name)?;
        }
        let timeout = match self.of_signal(signal, "TIMEOUT")? {
            Some((name, _)) => self.number(&name)?.map(Duration::from_millis),
            None => None,
        };
        Ok(Some(timeout.unwrap_or(COLLECTOR_TIMEOUT)))
    }

    /// The variable that counts for `signal`, which is its own or that of both.
    fn of_signal(&self, signal: &str, what: &str) -> Result<Option<(String, String)>, String> {
        let [own, both] =
            [format!("OTEL_EXPORTER_OTLP_{signal}_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
        for name in [own, both] {
            if let Some(value) = self.text(&name)? {
                return Ok(Some((name, value)));
            }
        }
        Ok(None)
    }

    fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.text(name)? else { return Ok(None) };
        match value.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(wrong(name, &value, "it is a whole number above 0")),
        }
    }

    fn check_sampler(&self) -> Result<(), String> {
        let name = "OTEL_TRACES_SAMPLER";
        let Some(value) = self.text(name)? else { return Ok(()) };
        let Some((_, has_share)) = SAMPLERS.iter().find(|(sampler, _)| *sampler == value) else {
            let all = SAMPLERS.map(|(sampler, _)| sampler).join(", ");
            return Err(wrong(name, &value, &format!("it is one of {all}")));
        };
        let name = "OTEL_TRACES_SAMPLER_ARG";
        match self.text(name)? {
            Some(share)
                if *has_share
                    && !share.parse().is_ok_and(|share: f64| (0.0..=1.0).contains(&share)) =>
            {
                Err(wrong(name, &share, "it is a share from 0 to 1"))
            }
            None if *has_share => Err(format!("the sampler {value} needs a share as {name}")),
            _ => Ok(()),
        }
    }

    /// The pairs of a list `key=value,…`.
    fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, String> {
        let Some(list) = self.text(name)? else { return Ok(Vec::new()) };
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        let pair = |item: &str| {
            let (key, value) = item.split_once('=').unwrap_or_default();
            let (key, value) = (key.trim(), value.trim());
            match key.is_empty() || value.is_empty() {
                // The value may be a key that nobody shall read in a log.
                true => Err(format!("{name} is no list of the form key=value,key=value")),
                false => Ok((key.to_owned(), value.to_owned())),
            }
        };
        items.map(pair).collect()
    }

    fn check_headers(&self, name: &str) -> Result<(), String> {
        for (key, value) in self.pairs(name)? {
            if HeaderName::try_from(&key).is_err() {
                return Err(wrong(name, &key, "that is no name of a header field"));
            }
            let value = percent_decode_str(&value).decode_utf8();
            if !value.is_ok_and(|value| HeaderValue::from_str(&value).is_ok()) {
                return Err(format!("the value of {key} in {name} cannot be a header field's"));
            }
        }
        Ok(())
    }
}

fn check_endpoint(name: &str, endpoint: &str) -> Result<(), String> {
    let is_url = endpoint.parse().is_ok_and(|url: Uri| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
    });
    match is_url {
        true => Ok(()),
        false => Err(wrong(name, endpoint, "it is a URL such as http://localhost:4318")),
    }
}

fn wrong(name: &str, value: &str, sentence: &str) -> String {
    format!("{name} is {value:?}: {sentence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The meaning of an environment of these `variables`, separated by spaces.
    fn read_of(variables: &str) -> Result<Option<Signals>, String> {
        read(|name| {
            let mut pairs = variables.split_whitespace().filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    }

    const HERE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318";

    #[test]
    fn nothing_is_sent_without_an_endpoint_or_when_it_is_disabled() {
        for off in [
            "",
            "OTEL_SERVICE_NAME=site OTEL_TRACES_SAMPLER=nonsense",
            "OTEL_EXPORTER_OTLP_ENDPOINT=",
            &format!("{HERE} OTEL_SDK_DISABLED=TRUE"),
            &format!("{HERE} OTEL_TRACES_EXPORTER=none OTEL_METRICS_EXPORTER=none"),
        ] {
            assert_eq!(read_of(off), Ok(None), "{off}");
        }
    }

    #[test]
    fn signal_is_sent_when_it_has_an_endpoint() {
        let time = |millis| Some(Duration::from_millis(millis));
        let signals = |variables: &str| {
            read_of(variables).unwrap().map(|signals| (signals.traces, signals.metrics))
        };
        assert_eq!(signals(HERE), Some((time(10_000), time(10_000))));
        let only = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://in.example/v1/traces";
        assert_eq!(signals(only), Some((time(10_000), None)));
        let none = format!("{HERE} OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_TIMEOUT=50");
        assert_eq!(signals(&none), Some((None, time(50))));
        let own = format!("{none} OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=70 OTEL_SDK_DISABLED=false");
        assert_eq!(signals(&own), Some((None, time(70))));
    }

    #[test]
    fn service_is_named_by_either_variable() {
        let names = |variables: &str| {
            let signals = read_of(&format!("{HERE} {variables}")).unwrap().unwrap();
            (signals.names_service, signals.names_instance)
        };
        assert_eq!(names(""), (false, false));
        assert_eq!(names("OTEL_SERVICE_NAME=site"), (true, false));
        let both = "OTEL_RESOURCE_ATTRIBUTES=service.name=site,service.instance.id=a,b=c";
        assert_eq!(names(both), (true, true));
    }

    #[test]
    fn wrong_variable_gives_a_sentence_that_names_it() {
        for (variable, sentence) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318", "is \"localhost:4318\": it is a URL"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT=ftp://h", "it is a URL such as http://localhost:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "speaks http/protobuf only"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "unset it"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT=10s", "is \"10s\": it is a whole number above 0"),
            ("OTEL_BSP_MAX_QUEUE_SIZE=0", "it is a whole number above 0"),
            ("OTEL_METRIC_EXPORT_INTERVAL=-1", "it is a whole number above 0"),
            ("OTEL_TRACES_SAMPLER=never", "it is one of always_on, always_off, traceidratio"),
            ("OTEL_TRACES_EXPORTER=jaeger", "it is otlp or none"),
            ("OTEL_SDK_DISABLED=1", "it is true or false"),
            ("OTEL_RESOURCE_ATTRIBUTES=production", "is no list of the form key=value"),
            ("OTEL_EXPORTER_OTLP_HEADERS=secret", "is no list of the form key=value"),
            ("OTEL_EXPORTER_OTLP_HEADERS=a@b=c", "is \"a@b\": that is no name"),
            ("OTEL_EXPORTER_OTLP_HEADERS=key=a%0Ab", "cannot be a header field's"),
        ] {
            let error = read_of(&format!("{variable} {HERE}")).unwrap_err();
            let name = variable.split('=').next().unwrap();
            assert!(error.contains(name) && error.contains(sentence), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let sampler = format!("{HERE} OTEL_TRACES_SAMPLER=traceidratio");
        assert!(
            read_of(&sampler).unwrap_err().contains("needs a share as OTEL_TRACES_SAMPLER_ARG")
        );
        let share = format!("{sampler} OTEL_TRACES_SAMPLER_ARG=1.5");
        assert!(read_of(&share).unwrap_err().contains("it is a share from 0 to 1"));
        assert!(read_of(&share.replace("1.5", "0.25")).is_ok());
    }
}
