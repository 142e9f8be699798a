//! `offhours init`: from a service key to a rule that observes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use offhours::simulator::Fleet;

use crate::process::bench::{Bench, idle_rule};

/// A tenant with a group of each kind, in a directory with nothing but its service key.
fn bench() -> Bench {
    let tenant = Fleet::new().group("dev-a").running("d001", "infer.s").group("prod-a").running("d002", "infer.m");
    let bench = Bench::new(tenant, &idle_rule("evening"));
    fs::remove_file(bench.path("offhours.toml")).unwrap();
    fs::remove_dir_all(bench.path("schedules")).unwrap();
    bench
}

#[test]
fn u07_init_writes_a_configuration_that_works_and_stops_nothing() {
    let bench = bench();
    let said = bench.run(&["init", "--key", "dev.json"]).ends(0);
    for part in [
        "The tenant has 3 resource groups, in which 2 deployments run.",
        "offhours.toml: no faults, 1 rule",
        "would stop 1",
        "The rule only observes: it stops nothing.",
        "\n  offhours rehearse\n",
    ] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    let (main, rule) = (fs::read_to_string(bench.path("offhours.toml")).unwrap(), bench.path("schedules/first.toml"));
    assert!(main.contains("service_key = \"dev.json\"") && main.contains("resource_groups = [\"prod-a\"]"), "{main}");
    assert!(main.contains("# \"infer.s\" = \"\""), "a price is the reader's to write: {main}");
    let rule = fs::read_to_string(rule).unwrap();
    assert!(rule.contains("mode        = \"observe\"") && rule.contains("resource_groups = [\"dev-a\"]"), "{rule}");
    assert!(!bench.state().exists(), "no ledger is made");
    bench.run(&["check"]).ends(0);
    bench.run(&["fire", "first-evenings"]).ends(0);
    assert!(bench.asked().is_empty());

    // Nothing of a person's is written over.
    let said = bench.run(&["init", "--key", "dev.json"]).ends(2);
    assert!(said.err.contains("`offhours.toml` is there already, and nothing was written"), "{}", said.err);
    assert_eq!(fs::read_to_string(bench.path("offhours.toml")).unwrap(), main);
}

#[test]
fn u07_init_for_the_service_names_the_secrets_as_its_unit_loads_them() {
    let bench = bench();
    let said = bench.run(&["init", "--systemd", "--key", "dev.json", "--directory", "etc"]).ends(0);
    assert!(said.out.contains("systemctl enable --now offhours"), "{}", said.out);
    let main = fs::read_to_string(bench.path("etc/offhours.toml")).unwrap();
    assert!(main.contains("credential = \"service-key\"") && !main.contains("dev.json"), "{main}");
    for name in ["etc/service-key.json", "etc/smtp-password"] {
        assert_eq!(fs::metadata(bench.path(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let secret: serde_json::Value = serde_json::from_str(&bench.simulator.service_key()).unwrap();
    let secret = secret["clientsecret"].as_str().unwrap();
    assert!(!main.contains(secret) && !said.out.contains(secret) && !said.err.contains(secret));
}

#[test]
fn u07_init_without_a_key_says_how_to_name_one() {
    let bench = bench();
    let said = bench.run(&["init"]).ends(3);
    assert!(said.err.contains("service key") && said.err.contains("AICORE_SERVICE_KEY"), "{}", said.err);
    assert!(!bench.path("offhours.toml").exists());
}
