//! `offhours next` for many questions at once: one JSON object a line in, one a line out. For tests/interop/cron.sh,
//! which asks tens of thousands; a person uses `offhours next`.
//!
//! In:  `{"cron": "0 19 * * MON-FRI", "timezone": "Europe/Berlin", "from": "2026-11-23T12:00:00Z", "count": 3}`
//! Out: `{"instants": ["2026-11-23T18:00:00Z", …]}` or `{"error": "…"}`

use std::io::{self, BufRead, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use offhours::clock;
use offhours::domain::cron::Cron;
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let answer = match answer(&line?) {
            Ok(instants) => json!({ "instants": instants }),
            Err(error) => json!({ "error": error }),
        };
        writeln!(out, "{answer}")?;
    }
    out.flush()
}

fn answer(line: &str) -> Result<Vec<String>, String> {
    let question: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let text = |key: &str| question[key].as_str().ok_or(format!("no `{key}`"));
    let zone = clock::zone(text("timezone")?).map_err(|e| e.to_string())?;
    let cron = Cron::parse(text("cron")?).map_err(|e| e.to_string())?;
    let from: DateTime<Utc> = text("from")?.parse().map_err(|e| format!("from: {e}"))?;
    let count = question["count"].as_u64().and_then(|n| usize::try_from(n).ok()).ok_or("no `count`")?;
    Ok(cron.instants(from, &zone).take(count).map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).collect())
}
