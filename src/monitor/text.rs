//! The vitals as `OpenMetrics` text, which Prometheus reads. Names follow its conventions: base units, `_total` for
//! counters, no value where none is known.

use std::fmt;

use chrono::{DateTime, Utc};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::monitor::vitals::{VitalSigns, Vitals};

/// The content type of the metrics page.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Vitals {
    /// All metrics at this moment.
    pub fn metrics(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.snapshot()));
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

impl Collector for VitalSigns {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        encoder
            .encode_descriptor("offhours_build", "The version that runs.", None, MetricType::Info)?
            .encode_info(&version)?;
        gauge(&mut encoder, "offhours_last_beat_timestamp_seconds", "When the last heartbeat was.", self.beat_at)?;
        gauge(
            &mut encoder,
            "offhours_next_firing_timestamp_seconds",
            "When the next rule fires; absent where nothing is scheduled.",
            self.next_firing,
        )?;
        self.encode_runs(&mut encoder)?;
        if let Some(gauges) = &self.ledger {
            gauges.encode(&mut encoder)?;
        }
        let help = "Times the configuration was read again, by whether it is in force.";
        let mut metric = encoder.encode_descriptor("offhours_config_reloads", help, None, MetricType::Counter)?;
        self.reloads.iter().try_for_each(|(result, count)| counter(&mut metric, &[("result", result.as_str())], *count))
    }
}

impl VitalSigns {
    fn encode_runs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Firings dealt with since the start, by rule and result.";
        let mut metric = encoder.encode_descriptor("offhours_runs", help, None, MetricType::Counter)?;
        for ((rule, result), count) in &self.runs {
            counter(&mut metric, &[("rule", rule.as_str()), ("result", result.as_str())], *count)?;
        }
        let help = "Deployments in these runs, by what became of them.";
        let mut metric = encoder.encode_descriptor("offhours_deployments", help, None, MetricType::Counter)?;
        for (outcome, count) in &self.deployments {
            counter(&mut metric, &[("outcome", outcome.as_str())], *count)?;
        }
        let help = "When the last run of each rule ended.";
        let name = "offhours_last_run_timestamp_seconds";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (rule, at) in &self.last_runs {
            metric.encode_family(&[("rule", rule.as_str())])?.encode_gauge(&seconds(*at))?;
        }
        Ok(())
    }
}

fn counter<const N: usize>(
    metric: &mut MetricEncoder<'_>,
    labels: &[(&'static str, &str); N],
    count: u64,
) -> fmt::Result {
    metric.encode_family(labels)?.encode_counter::<[(&str, &str); 0], _, u64>(&count, None)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: Option<DateTime<Utc>>) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    value.map_or(Ok(()), |at| metric.encode_gauge(&seconds(at)))
}

fn seconds(at: DateTime<Utc>) -> i64 {
    at.timestamp()
}
