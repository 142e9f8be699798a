//! A page of deployments. No id that could become another URL gets through, no entry is lost without being counted,
//! and no text that is kept acts on a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offhours::aicore::Listing;
use offhours::domain::id::ResourceGroup;
use serde_json::Value;

/// Characters that are kept of any text.
const LONGEST: usize = 200;

fuzz_target!(|body: &[u8]| {
    let group = ResourceGroup::new("dev-a").unwrap();
    let Some(listing) = Listing::of_page(body, &group) else { return };
    for deployment in &listing.deployments {
        let id = deployment.id.as_str();
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b"_.-".contains(&c);
        assert!((4..=64).contains(&id.len()) && id.bytes().all(allowed), "{id:?}");
        assert_eq!(deployment.resource_group, group);
        let plans = deployment.nodes.iter().map(|nodes| nodes.plan.as_str());
        let texts = [
            Some(deployment.configuration_id.as_str()),
            deployment.configuration_name.as_deref(),
            deployment.scenario_id.as_deref(),
            deployment.executable_id.as_deref(),
            deployment.target_status.as_deref(),
            Some(deployment.status.as_str()),
        ];
        for text in texts.into_iter().flatten().chain(plans) {
            assert!(text.chars().count() <= LONGEST && !text.chars().any(char::is_control), "{text:?}");
        }
    }
    let ids = listing.deployments.windows(2);
    assert!(ids.into_iter().all(|two| two[0].id < two[1].id), "each once, in order");
    if let Ok(page) = serde_json::from_slice::<Value>(body) {
        let entries = page["resources"].as_array().map_or(0, Vec::len);
        assert!(listing.deployments.len() + listing.refused_ids <= entries);
        assert!(listing.refused_ids + usize::from(!listing.deployments.is_empty()) <= entries);
        let good = page["resources"].as_array().into_iter().flatten().filter(|entry| {
            let id = entry["id"].as_str().unwrap_or_default();
            listing.deployments.iter().any(|deployment| deployment.id.as_str() == id)
        });
        assert_eq!(good.count() + listing.refused_ids, entries);
    }
});
