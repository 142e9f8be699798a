//! What the second look at a tenant found: replacements that ran inside an off window, and figures that were cut short.

use std::collections::BTreeMap;

use crate::domain::run::{DeploymentResult, EndedBy};
use crate::report::content::MOST_ROWS;
use crate::report::form::Form;
use crate::report::page::{Cell, ReportSection, SectionBody};
use crate::report::parts::{amount, deployment_cell, table};
use crate::report::sum::Sum;

/// Replacements, and what they cost.
#[derive(Debug, Default)]
pub(super) struct Leaks {
    sum: Sum,
    rows: Vec<DeploymentResult>,
}

impl Leaks {
    /// Adds a row, where its deployment was replaced inside the window.
    pub(super) fn add(&mut self, row: &DeploymentResult) {
        let Some(leak) = row.settlement.as_ref().and_then(|settlement| settlement.leak.as_ref()) else { return };
        self.sum.add(&leak.cost);
        if self.rows.len() < MOST_ROWS {
            self.rows.push(row.clone());
        }
    }

    /// One row for each; none where nothing ran again.
    pub(super) fn section(&self, form: &Form<'_>, most: usize) -> Option<ReportSection> {
        if self.rows.is_empty() {
            return None;
        }
        let rows = self.rows.iter().filter_map(|row| leak(row, form));
        let mut table = table(vec!["Deployment", "Ran again", "Cost"], rows, self.sum.rows, most);
        table.total = Some(("Leaked".to_owned(), amount(&self.sum, form)));
        let section = ReportSection::new("Leaks: ran again inside the off window", SectionBody::Table(table));
        Some(section.intro("Their hours are not part of any avoided cost: it ends where a replacement begins."))
    }
}

fn leak(row: &DeploymentResult, form: &Form<'_>) -> Option<Vec<Cell>> {
    let leak = row.settlement.as_ref()?.leak.as_ref()?;
    let since = leak.cost.from.map_or_else(String::new, |from| format!("since {}", form.instant(from)));
    Some(vec![
        deployment_cell(row),
        Cell::new(format!("replaced by {}", leak.id), since),
        Cell::new(
            leak.cost.cost.map_or_else(|| "no price".to_owned(), |money| form.money(money)),
            format!("{} node hours", form.quantity(leak.cost.node_hours)),
        ),
    ])
}

/// Figures that were cut short by the second look at the tenant.
#[derive(Debug, Default)]
pub(super) struct CutShort {
    /// How many, and what they came to before and after.
    by_end: BTreeMap<&'static str, (usize, Sum, Sum)>,
}

impl CutShort {
    /// Adds a row, where something else than the window's end ended its counting.
    pub(super) fn add(&mut self, row: &DeploymentResult) {
        let Some(settlement) = row.settlement.as_ref().filter(|one| one.ended_by != EndedBy::WindowEnd) else { return };
        // What nobody counted on has not been cut.
        if row.projected.node_hours.is_zero() && settlement.avoided.node_hours.is_zero() {
            return;
        }
        let (count, projected, settled) = self.by_end.entry(settlement.ended_by.as_str()).or_default();
        *count += 1;
        projected.add(&row.projected);
        settled.add(&settlement.avoided);
    }

    /// One item for each kind of end; none where each window ended as planned.
    pub(super) fn section(&self, form: &Form<'_>) -> Option<ReportSection> {
        let items: Vec<String> = self
            .by_end
            .iter()
            .map(|(word, (count, projected, settled))| {
                let deployments = form.counted(*count, "deployment");
                let was = format!("projected {}, settled {}", amount(projected, form), amount(settled, form));
                format!("{}: {deployments}; {was}", sentence(word))
            })
            .collect();
        (!items.is_empty()).then(|| ReportSection::new("Cut short when settled", SectionBody::List { items }))
    }
}

fn sentence(ended_by: &str) -> &'static str {
    match ended_by {
        "replacement" => "replaced by a new deployment",
        "deletion" => "deleted by somebody",
        "ttl" => "would have expired (ttl)",
        "counted-elsewhere" => "off after all, counted in the run that asked again",
        _ => "never confirmed",
    }
}
