//! The metrics of `/metrics`, as the SDK observes them.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::telemetry::{Family, FamilyValues, Labelled, MetricUnit, Number, Telemetry, families};

/// The name of a metric: that of `/metrics`, in the namespace `cachecompress`.
fn name(family: &Family) -> String {
    family.name.replacen('_', ".", 1)
}

/// Has `provider` observe the counters and gauges of `telemetry`.
///
/// The SDK takes no histogram that is counted already. Those of requests and encodes are recorded by
/// [`RequestSpan`](super::RequestSpan) and [`Encodes`](super::encodes::Encodes).
pub(super) fn observe(provider: &SdkMeterProvider, telemetry: &Arc<Telemetry>) {
    let meter = provider.meter("cachecompress");
    for family in families(telemetry) {
        let telemetry = Arc::clone(telemetry);
        match family.unit {
            Some(MetricUnit::Seconds) => observe_real(&meter, &family, telemetry),
            _ if family.has_fractions() => observe_real(&meter, &family, telemetry),
            Some(MetricUnit::Bytes) | None => observe_whole(&meter, &family, telemetry),
        }
    }
}

fn observe_whole(meter: &Meter, family: &Family, telemetry: Arc<Telemetry>) {
    let wanted = family.name;
    let unit = if family.unit.is_some() { "By" } else { "" };
    let each = move |observe: &dyn Fn(u64, &[KeyValue])| {
        for_each(&telemetry, wanted, |number, labels| match number {
            Number::Whole(number) => observe(number, labels),
            Number::Real(number) => observe(number as u64, labels),
        });
    };
    match family.values {
        FamilyValues::Counters(_) => {
            let builder = meter.u64_observable_counter(name(family));
            let builder = builder.with_description(family.help).with_unit(unit);
            builder.with_callback(move |o| each(&|v, labels| o.observe(v, labels))).build();
        }
        FamilyValues::Gauges(_) => {
            let builder = meter.u64_observable_gauge(name(family));
            let builder = builder.with_description(family.help).with_unit(unit);
            builder.with_callback(move |o| each(&|v, labels| o.observe(v, labels))).build();
        }
        FamilyValues::Histograms(_) => {}
    }
}

fn observe_real(meter: &Meter, family: &Family, telemetry: Arc<Telemetry>) {
    let wanted = family.name;
    let each = move |observe: &dyn Fn(f64, &[KeyValue])| {
        for_each(&telemetry, wanted, |number, labels| match number {
            Number::Whole(number) => observe(number as f64, labels),
            Number::Real(number) => observe(number, labels),
        });
    };
    match family.values {
        FamilyValues::Counters(_) => {
            let builder = meter.f64_observable_counter(name(family));
            let builder = builder.with_description(family.help).with_unit("s");
            builder.with_callback(move |o| each(&|v, labels| o.observe(v, labels))).build();
        }
        FamilyValues::Gauges(_) => {
            let builder = meter.f64_observable_gauge(name(family));
            let builder = builder.with_description(family.help).with_unit("s");
            builder.with_callback(move |o| each(&|v, labels| o.observe(v, labels))).build();
        }
        FamilyValues::Histograms(_) => {}
    }
}

/// Calls `observe` with each value of the `wanted` metric and its labels.
fn for_each(telemetry: &Telemetry, wanted: &str, observe: impl Fn(Number, &[KeyValue])) {
    let families = families(telemetry);
    let Some(family) = families.iter().find(|family| family.name == wanted) else { return };
    let (FamilyValues::Counters(values) | FamilyValues::Gauges(values)) = &family.values else {
        return;
    };
    for Labelled { labels, value } in values {
        let pair = |(key, value): &(&'static str, String)| KeyValue::new(*key, value.clone());
        observe(*value, &labels.iter().map(pair).collect::<Vec<_>>());
    }
}
