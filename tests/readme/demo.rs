//! The demo prints what README shows of it, and its figures are those of the example in docs/avoided-cost.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::blocks::{blocks_in, table};
use super::{AVOIDED_COST, README, arguments, offhours, printed};

/// Holds the demo in a directory; gives what it printed.
pub(super) fn demo(directory: &Path) -> String {
    printed(offhours().arg("demo").current_dir(directory))
}

#[test]
fn the_demo_prints_what_it_shows() {
    let directory = TempDir::new().unwrap();
    let account = demo(directory.path());
    let mut rest = account.lines();
    let shown = blocks_in("text").into_iter().find(|text| text.starts_with("Rehearsing")).unwrap();
    for line in shown.lines().filter(|line| !line.is_empty() && *line != "…") {
        assert!(
            rest.any(|printed| printed == line),
            "the demo does not print, or not in this order: {line}\n{account}"
        );
    }
    let left: Vec<PathBuf> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [directory.path().join("offhours-demo")]);

    // Its ledger can be asked as README says.
    let line = README.split('`').find(|text| text.starts_with("offhours --config offhours-demo")).unwrap();
    printed(offhours().args(&arguments(line)[1..]).current_dir(directory.path()));

    the_example_is_what_it_counts(&fs::read_to_string(directory.path().join("offhours-demo/report.csv")).unwrap());
}

/// Each row of a CSV without quoted commas, by its column's name.
fn rows(csv: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    lines.map(|line| names.iter().copied().zip(line.split(',')).collect()).collect()
}

fn the_example_is_what_it_counts(csv: &str) {
    let rows: Vec<_> = rows(csv).into_iter().filter(|row| row["rule"] == "forecast-weekends").collect();
    let example = table(AVOIDED_COST, "An example");
    for (column, configuration) in [(1, "demand-forecast"), (2, "price-elasticity")] {
        let row = rows.iter().find(|row| row["configuration_name"] == configuration).unwrap();
        let cell =
            |head: &str| example.iter().find(|cells| cells[0].starts_with(head)).unwrap()[column].replace("**", "");
        assert_eq!(cell("node hours"), row["node_hours"]);
        let units = example.iter().find(|cells| cells[0] == "capacity units").unwrap()[column].clone();
        assert_eq!(units, row["capacity_units"]);
        assert_eq!(cell("**avoided cost"), format!("EUR {}", row["avoided_cost"]));
        let (nodes, plan) = row["nodes"].split_once(':').map(|(plan, count)| (count, plan)).unwrap();
        assert_eq!(cell("nodes when"), format!("{nodes} × {plan}"));
        // The calculation itself: nodes × hours × units × price.
        let number = |text: &str| text.parse::<f64>().unwrap();
        let hours = number(&cell("hours"));
        assert!((number(nodes) * hours - number(row["node_hours"])).abs() < 0.000_002, "{configuration}");
        let cost = number(row["node_hours"]) * number(&cell("capacity units per node hour")) * 0.95;
        assert!((cost - number(row["avoided_cost"])).abs() <= 0.005, "{configuration}: {cost}");
    }
    let text = AVOIDED_COST.replace('\n', " ");
    let of = |configuration: &str, column: &str| {
        rows.iter().find(|row| row["configuration_name"] == configuration).unwrap()[column].to_owned()
    };
    for figure in [
        of("price-elasticity", "projected_cost"),
        format!("leak of EUR {}", of("price-elasticity", "leak_cost")),
        format!("{} node hours that the replacement ran", of("price-elasticity", "leak_node_hours")),
    ] {
        assert!(text.contains(&figure), "{figure}");
    }
}
