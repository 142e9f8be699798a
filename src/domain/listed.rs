//! All deployments of a resource group, as one list showed them. A group may have a hundred thousand, and a question for
//! each of them: nothing here walks through the list.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::domain::deployment::Deployment;
use crate::domain::id::DeploymentId;
use crate::domain::schedule::OffWindow;

/// A list, found by id, and by configuration and instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Listed {
    /// By configuration, then by creation; as they were listed where both are the same.
    deployments: Vec<Deployment>,
    by_id: HashMap<DeploymentId, usize>,
}

impl Listed {
    /// Takes a whole list.
    pub(crate) fn new(mut deployments: Vec<Deployment>) -> Self {
        deployments.sort_by(|a, b| place(a).cmp(&place(b)));
        // Of two with one id the first counts.
        let places = deployments.iter().enumerate().rev();
        let by_id = places.map(|(index, deployment)| (deployment.id.clone(), index)).collect();
        Self { deployments, by_id }
    }

    /// The deployment called `id`.
    pub(crate) fn get(&self, id: &DeploymentId) -> Option<&Deployment> {
        self.deployments.get(*self.by_id.get(id)?)
    }

    /// What was made from a configuration inside `window`, oldest first.
    pub(crate) fn made_in(&self, configuration_id: &str, window: OffWindow) -> &[Deployment] {
        let begins = self.deployments.partition_point(|one| place(one) <= (configuration_id, Some(window.from)));
        let ends = self.deployments.partition_point(|one| place(one) < (configuration_id, Some(window.to)));
        self.deployments.get(begins..ends).unwrap_or_default()
    }
}

fn place(deployment: &Deployment) -> (&str, Option<DateTime<Utc>>) {
    (&deployment.configuration_id, deployment.created_at)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::Listed;
    use crate::domain::deployment::{Deployment, Status};
    use crate::domain::id::{DeploymentId, ResourceGroup};
    use crate::domain::schedule::OffWindow;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn deployment(id: &str, configuration_id: &str, created_at: Option<i64>) -> Deployment {
        Deployment {
            id: DeploymentId::new(id).unwrap(),
            resource_group: ResourceGroup::new("dev-a").unwrap(),
            configuration_id: configuration_id.to_owned(),
            configuration_name: None,
            scenario_id: None,
            executable_id: None,
            status: Status::Running,
            target_status: None,
            created_at: created_at.map(at),
            modified_at: None,
            completed_at: None,
            ttl: None,
            nodes: Vec::new(),
        }
    }

    #[test]
    fn what_was_made_in_a_window_is_found_without_its_edges_and_oldest_first() {
        let listed = Listed::new(vec![
            deployment("late", "chat", Some(8)),
            deployment("other", "chas", Some(5)),
            deployment("edge-to", "chat", Some(10)),
            deployment("early", "chat", Some(2)),
            deployment("another", "chau", Some(5)),
            deployment("edge-from", "chat", Some(1)),
            deployment("unknown", "chat", None),
            deployment("twin", "chat", Some(2)),
        ]);
        let made = |configuration, from, to| {
            let made = listed.made_in(configuration, OffWindow { from: at(from), to: at(to) });
            made.iter().map(|one| one.id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(made("chat", 1, 10), ["early", "twin", "late"]);
        assert_eq!(made("chat", 10, 1), [""; 0], "a window that makes no sense");
        assert_eq!(made("nobody's", 1, 10), [""; 0]);
        let early = DeploymentId::new("early").unwrap();
        assert_eq!(listed.get(&early).unwrap().created_at, Some(at(2)));
        assert_eq!(listed.get(&DeploymentId::new("gone").unwrap()), None);
    }

    /// The issue was a walk through the whole list for each row. Here each row meets what its own configuration made.
    #[test]
    fn p44_a_question_about_one_of_a_hundred_thousand_meets_only_its_own_configuration() {
        let all = (0..100_000).map(|n| deployment(&format!("d{n:06}"), &format!("c{}", n / 5), Some(n)));
        let listed = Listed::new(all.collect());
        let window = OffWindow { from: at(-1), to: at(100_000) };
        let met: usize = (0..20_000).map(|n| listed.made_in(&format!("c{n}"), window).len()).sum();
        assert_eq!(met, 100_000);
    }
}
