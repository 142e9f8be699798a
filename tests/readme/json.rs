//! The fields in docs/json.md are those that the program prints, and its codes are those of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use offhours::domain::failure::FailureCode;
use offhours::domain::reason::ReasonCode;
use serde_json::Value;
use tempfile::TempDir;

use super::blocks::{quoted, raw_table, section};
use super::demo::demo;
use super::tenant::{Process, rule, tenant};
use super::{JSON, offhours, root};

/// What a table of fields says: the fields, and those of what they hold.
struct Fields {
    own: BTreeSet<String>,
    inner: BTreeMap<String, BTreeSet<String>>,
}

fn documented(heading: &str) -> Fields {
    let mut fields = Fields { own: BTreeSet::new(), inner: BTreeMap::new() };
    for row in raw_table(JSON, heading) {
        let names: Vec<String> = quoted(&row[0]).collect();
        if row[1].starts_with("array of `") || row[1].starts_with("object of `") {
            fields.inner.extend(names.iter().map(|name| (name.clone(), quoted(&row[1]).collect())));
        }
        fields.own.extend(names);
    }
    fields
}

fn keys<'a>(objects: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    objects.into_iter().filter_map(Value::as_object).flat_map(|object| object.keys().cloned()).collect()
}

/// The objects that a field holds: itself, or the entries of a list.
fn held(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |entries| entries.iter().collect())
}

/// Compares the fields below a heading with those of what was printed.
fn same(heading: &str, printed: &[&Value]) {
    let Fields { own, inner } = documented(heading);
    assert!(!printed.is_empty(), "nothing was printed for `{heading}`");
    assert_eq!(own, keys(printed.iter().copied()), "fields below `{heading}`");
    for (name, wanted) in inner {
        let found = keys(printed.iter().flat_map(|object| held(&object[&name])));
        assert!(found.is_empty() || found == wanted, "fields of `{name}` below `{heading}`: {found:?}");
    }
}

/// The demo's tenant with three rules: one observes, one is blocked, and one has a pattern that is warned of by its place.
fn asked_tenant(home: &Path) -> Process {
    let evenings = "stop = \"0 19 * * *\"\nuntil = \"0 7 * * *\"\n";
    let rules = [
        rule("watch", &format!("mode = \"observe\"\n{evenings}"), "dev-*"),
        rule("blocked", &format!("max_stops = 1\n{evenings}"), "dev-*"),
        rule("pattern", &format!("mode = \"observe\"\n{evenings}"), "dev.*"),
    ];
    tenant(home, &[], &rules.concat())
}

/// What a command prints as JSON, however it ends.
fn json(home: &Path, line: &str) -> Value {
    let output = offhours().args(line.split(' ')).arg("--json").current_dir(home).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{line}: {error}: {said}"))
}

fn entries(list: &Value) -> Vec<&Value> {
    list.as_array().unwrap().iter().collect()
}

#[test]
fn its_fields_of_runs_and_reports_are_those_that_are_printed() {
    let directory = TempDir::new().unwrap();
    demo(directory.path());
    let home = directory.path().join("offhours-demo");
    let history = json(&home, "history --since 2026-10-19T00:00:00Z");
    let runs = entries(&history);
    same("Run", &runs);
    let deployments: Vec<&Value> = runs.iter().flat_map(|run| entries(&run["deployments"])).collect();
    same("Deployment", &deployments);
    same("Avoided", &deployments.iter().map(|deployment| &deployment["avoided"]).collect::<Vec<_>>());
    let settlements: Vec<&Value> =
        deployments.iter().map(|deployment| &deployment["settlement"]).filter(|it| it.is_object()).collect();
    same("Settlement", &settlements);
    same("Totals", &runs.iter().map(|run| &run["totals"]).collect::<Vec<_>>());

    let report = json(&home, "report --period 2026-W43");
    same("Report", &[&report]);
    same("Sums", &[&report["totals"], &report["would_have_avoided"]]);
    same("Hold in a report", &entries(&report["holds"]));

    let past = json(&home, "plan --at 2026-10-20T00:00:00Z");
    same("Plan", &entries(&past));
    let past = json(&home, "explain d11invoice --at 2026-10-20T00:00:00Z");
    assert_eq!(said_of_explain("With `--at` in the past, the fields are"), keys(entries(&past)));
    let unknown = json(&home, "status");
    same("Status", &[&unknown]);
}

/// The fields that a sentence below "Explain" names.
fn said_of_explain(beginning: &str) -> BTreeSet<String> {
    let text = section(JSON, "Explain").join(" ");
    let sentence = text.split_once(beginning).unwrap_or_else(|| panic!("{beginning}")).1;
    quoted(sentence.split_once('.').unwrap().0).collect()
}

#[test]
fn its_fields_of_what_asks_a_tenant_are_those_that_are_printed() {
    let directory = TempDir::new().unwrap();
    let home = directory.path();
    let _tenant = asked_tenant(home);
    same("Plan", &entries(&json(home, "plan")));
    same("Explain", &entries(&json(home, "explain d11invoice")));
    let unknown = json(home, "explain d404");
    assert_eq!(said_of_explain("that is not found they are"), keys(entries(&unknown)));

    let checked = json(home, "check --online");
    same("Check", &[&checked]);
    same("Online", &[&checked["online"]]);

    same("Run", &[&json(home, "fire watch")]);
    assert_eq!(json(home, "fire blocked")["result"], "blocked");
    same("Mail queue", &entries(&json(home, "mail queue")));
    let status = json(home, "status");
    same("Status", &[&status]);
    same("Head of a run", &[&status["last_problem"], &status["rules"][0]["last_run"]]);

    let mut hold = json(home, "hold add --deployment d11invoice --until 12h --reason test");
    same("Hold", &entries(&json(home, "hold list")));
    let own = documented("Hold").own;
    hold.as_object_mut().unwrap().retain(|name, _| !own.contains(name));
    same("Hold add", &[&hold]);

    let written = raw_table(JSON, "Ledger");
    for line in ["ledger verify", "ledger backup copy.sqlite3", "ledger restore copy.sqlite3", "ledger trust-clock"] {
        let command = line.rsplit_once(' ').filter(|(rest, _)| rest.contains(' ')).map_or(line, |(rest, _)| rest);
        let row = written.iter().find(|row| row[0].contains(command)).unwrap_or_else(|| panic!("{command}"));
        assert_eq!(quoted(&row[1]).collect::<BTreeSet<_>>(), keys([&json(home, line)]), "{command}");
    }
    fs::write(home.join("schedules/rules.toml"), "[[rule]]\n").unwrap();
    let faulty = json(home, "check");
    let faults = documented("Check").inner["faults"].clone();
    assert_eq!(keys(entries(&faulty["faults"])), faults);
    assert_eq!(keys([&faulty]), ["faults", "rules", "warnings"].map(str::to_owned).into());
}

#[test]
fn its_columns_are_those_of_the_csv() {
    let directory = TempDir::new().unwrap();
    demo(directory.path());
    let csv = fs::read_to_string(directory.path().join("offhours-demo/report.csv")).unwrap();
    let columns: Vec<String> = csv.lines().next().unwrap().split(',').map(str::to_owned).collect();
    let written: Vec<String> =
        raw_table(JSON, "CSV").iter().flat_map(|row| quoted(&row[0]).collect::<Vec<_>>()).collect();
    assert_eq!(written, columns);
}

fn codes(heading: &str) -> BTreeSet<String> {
    raw_table(JSON, heading).iter().flat_map(|row| quoted(&row[0]).collect::<Vec<_>>()).collect()
}

#[test]
fn its_reason_codes_are_the_programs() {
    assert_eq!(
        codes("Reason codes of deployments"),
        ReasonCode::ALL.iter().map(|code| code.as_str().to_owned()).collect()
    );
    assert_eq!(codes("Failure codes"), FailureCode::ALL.iter().map(|code| code.as_str().to_owned()).collect());
    let text = fs::read_to_string(root().join("src/domain/run_reason.rs")).unwrap();
    let body = text.split_once("fn code(&self)").unwrap().1.split_once("\n    }\n").unwrap().0;
    let of_runs: BTreeSet<String> =
        body.lines().filter_map(|line| Some(line.split_once("=> \"")?.1.trim_end_matches("\",").to_owned())).collect();
    assert_eq!(codes("Reason codes of runs"), of_runs);
}
