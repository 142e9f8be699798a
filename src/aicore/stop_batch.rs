//! The ids of one bulk stop: 1 to 100, each once. Nothing else can be made.

use std::collections::BTreeSet;

use crate::domain::id::DeploymentId;

/// 1 to 100 deployments of one resource group, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopBatch(Vec<DeploymentId>);

impl StopBatch {
    /// Entries that AI Core takes in one bulk change.
    pub(crate) const LIMIT: usize = 100;

    /// All `ids` in batches, in the order given; repeated ones once. No ids make no batch.
    pub fn split(ids: impl IntoIterator<Item = DeploymentId>) -> Vec<Self> {
        let mut seen = BTreeSet::new();
        let unique: Vec<_> = ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
        unique.chunks(Self::LIMIT).map(|ids| Self(ids.to_vec())).collect()
    }

    /// The ids, in order.
    pub fn ids(&self) -> &[DeploymentId] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::StopBatch;
    use crate::domain::id::DeploymentId;

    #[test]
    fn ids_are_split_into_batches_of_a_hundred_and_each_comes_once() {
        let ids = |n| (0..n).map(|i| DeploymentId::new(format!("d{i:04}")).unwrap());
        let sizes = |batches: Vec<StopBatch>| batches.iter().map(|batch| batch.ids().len()).collect::<Vec<_>>();
        assert!(StopBatch::split(ids(0)).is_empty());
        assert_eq!(sizes(StopBatch::split(ids(100))), [100]);
        assert_eq!(sizes(StopBatch::split(ids(250).chain(ids(250)))), [100, 100, 50]);
    }
}
