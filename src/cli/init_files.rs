//! The texts that `offhours init` writes: valid as they are, and to be read and changed by a person.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::domain::id::ResourceGroup;

/// Names that are read as production, and as something that nobody needs at night.
const PRODUCTION: [&str; 4] = ["prod", "prd", "live", "default"];
const SPARE: [&str; 8] = ["dev", "test", "sandbox", "playground", "demo", "trial", "qa", "poc"];
/// The most groups that the first rule means.
const MOST_GROUPS: usize = 20;

pub(crate) enum KeyPlace {
    /// A file, as offhours.toml names it.
    File(String),
    /// The credential of the systemd unit.
    Credential,
    /// Where SAP's SDKs look for it.
    Ambient,
}

#[derive(Debug, Default)]
pub(crate) struct FoundTenant {
    /// How many deployments run in each resource group.
    pub(crate) running: BTreeMap<ResourceGroup, usize>,
    /// Plans that run and whose units the tenant does not tell.
    pub(crate) plans: BTreeSet<String>,
}

impl FoundTenant {
    fn groups_like(&self, words: &[&str]) -> Vec<&str> {
        let is_like = |group: &&str| words.iter().any(|word| group.to_lowercase().contains(word));
        self.running.keys().map(ResourceGroup::as_str).filter(is_like).collect()
    }
}

pub(crate) fn main_file(key: &KeyPlace, tenant: &FoundTenant) -> String {
    let zone = jiff::tz::TimeZone::system();
    let zone = zone.iana_name().map_or("UTC", |name| name.trim_start_matches("Etc/"));
    let key = match key {
        KeyPlace::File(path) => {
            format!("service_key = {}   # of mode 600; never write the key itself here", quoted(path))
        }
        KeyPlace::Credential => {
            "credential = \"service-key\"   # which the unit loads from service-key.json".to_owned()
        }
        KeyPlace::Ambient => {
            "# nothing here: the key is where SAP's SDKs look for it (AICORE_SERVICE_KEY, ~/.aicore, …)".to_owned()
        }
    };
    let mut text = format!(
        "#:schema schema/offhours.json\n# Written by `offhours init`. `offhours check` says what is wrong with it; docs/configuration.md has every key.\n\n\
         timezone  = \"{zone}\"   # this machine's; write that of the people whose mornings count\n\
         schedules = \"schedules\"\n\n\
         [connection.dev]\n{key}\n\n\
         # What no rule may ever stop. It wins over every rule.\n[protect]\n"
    );
    let production = tenant.groups_like(&PRODUCTION[..3]);
    if production.is_empty() {
        text.push_str("# resource_groups = [\"prod*\"]\n");
    } else {
        let _ = writeln!(text, "resource_groups = [{}]", list(&production));
    }
    text.push_str(
        "\n# Without prices reports show node hours and no money. Take them from your contract.\n\
         # [prices]\n# currency      = \"EUR\"\n# capacity_unit = \"\"             # the price of one capacity unit: a decimal in quotes\n\
         # source        = \"order form\"   # printed under every figure\n# valid_from    = 2026-01-01\n",
    );
    if !tenant.plans.is_empty() {
        text.push_str("# [prices.capacity_units_per_node_hour]   # of the plans that run in this tenant; from SAP's service description\n");
        for plan in &tenant.plans {
            let _ = writeln!(text, "# {} = \"\"", quoted(plan));
        }
    }
    text.push_str(
        "\n# Who is told what was stopped, or would have been. `offhours mail test` tries it.\n\
         # [mail]\n# smtp = \"smtps://mail.example.com\"   # or smtp+starttls://\n# username = \"offhours\"\n",
    );
    text.push_str(if key.contains("credential =") {
        "# password_credential = \"smtp-password\"   # which the unit loads from the file smtp-password\n"
    } else {
        "# password_file = \"smtp-password\"       # of mode 600\n"
    });
    text + "# from = \"offhours <offhours@example.com>\"\n# to   = [\"you@example.com\"]\n"
}

pub(crate) fn rule_file(tenant: &FoundTenant) -> String {
    let production = tenant.groups_like(&PRODUCTION);
    let mut spare = tenant.groups_like(&SPARE);
    spare.retain(|group| !production.contains(group));
    let all: Vec<&str> = tenant.running.keys().map(ResourceGroup::as_str).collect();
    let others: Vec<&str> = all.iter().copied().filter(|group| !production.contains(group)).collect();
    let mut chosen = [spare, others].into_iter().find(|groups| !groups.is_empty()).unwrap_or_default();
    chosen.truncate(MOST_GROUPS);
    let groups = if chosen.is_empty() { vec!["dev-*"] } else { chosen.clone() };
    let left: Vec<&str> = all.into_iter().filter(|group| !chosen.contains(group)).take(MOST_GROUPS).collect();
    let left = if left.is_empty() { String::new() } else { format!("# Not in it: {}\n", list(&left)) };
    format!(
        "#:schema ../schema/rules.json\n# Written by `offhours init`: weekday evenings, and the weekend from Friday evening to Monday morning.\n\n\
         [[rule]]\nname        = \"first-evenings\"\ndescription = \"What would be stopped on weekday evenings\"\n\
         stop        = \"0 19 * * MON-FRI\"   # at seven in the evening\n\
         until       = \"0 7 * * MON-FRI\"    # wanted again at seven in the morning\n\
         mode        = \"observe\"            # it stops nothing, and says what it would have stopped. After a week of that,\n\
         {:37}# and only then: take this line out. A stopped deployment never starts again.\n\
         [rule.select]\nresource_groups = [{}]\n{left}",
        "",
        list(&groups)
    )
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// A text in TOML. Names of a tenant are other people's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
