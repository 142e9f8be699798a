//! What a stop avoided, worked out once more: from what the tenant saw and from nothing of offhours' own, with whole
//! numbers and as plainly as can be. docs/avoided-cost.md, "Avoided cost", is what it was written from.

use chrono::{DateTime, Utc};

use crate::scenario::oracle::week::{Machine, Prices};

const MILLISECONDS_PER_HOUR: i128 = 3_600_000;

/// What a deployment's time comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// In millionths.
    pub node_hours: i128,
    /// In millionths, where all of its plans have capacity units.
    pub capacity_units: Option<i128>,
    /// In cents, likewise.
    pub cents: Option<i128>,
}

impl Figure {
    /// Of a machine that was off from `from` to `to`. A machine that was not running, whose replicas the tenant does not
    /// tell, or that is billed by tokens counts nothing.
    pub fn of(machine: &Machine, was_running: bool, prices: &Prices, knows_tenants_units: bool, ms: i128) -> Self {
        let nodes: u32 = machine.components.iter().map(|(_, replicas)| replicas).sum();
        if !was_running || !machine.is_shown || machine.is_billed_by_tokens || nodes == 0 {
            return Self { node_hours: 0, capacity_units: None, cents: None };
        }
        let units = |plan: &str| {
            let tenants = prices.units_of_the_tenant.get(plan).filter(|_| knows_tenants_units);
            prices.units_per_node_hour.get(plan).or(tenants).copied()
        };
        // In thousandths of a unit an hour; none where one plan that runs has none.
        let running = machine.components.iter().filter(|(_, replicas)| *replicas > 0);
        let units: Option<i64> = running.map(|(plan, replicas)| Some(units(plan)? * i64::from(*replicas))).sum();
        let per_hour = |thousandths: i64| i128::from(thousandths) * ms;
        Self {
            node_hours: half_to_even(per_hour(i64::from(nodes)) * 1_000_000, MILLISECONDS_PER_HOUR),
            capacity_units: units.map(|units| half_to_even(per_hour(units) * 1_000, MILLISECONDS_PER_HOUR)),
            // Thousandths times thousandths are millionths, of which a cent has ten thousand.
            cents: units.map(|units| {
                half_to_even(per_hour(units) * i128::from(prices.of_a_unit), MILLISECONDS_PER_HOUR * 10_000)
            }),
        }
    }
}

/// A quotient of whole numbers that are not negative, rounded.
pub fn half_to_even(of: i128, by: i128) -> i128 {
    let (whole, rest) = (of / by, of % by);
    let up = rest * 2 > by || (rest * 2 == by && whole % 2 == 1);
    whole + i128::from(up)
}

/// Instants between which something lies, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between(pub DateTime<Utc>, pub DateTime<Utc>);

impl Between {
    pub fn has(self, at: DateTime<Utc>) -> bool {
        self.0 <= at && at <= self.1
    }

    pub fn is_exact(self) -> bool {
        self.0 == self.1
    }
}

#[test]
fn a_figure_is_what_a_pencil_says() {
    use std::collections::BTreeMap;
    let prices = Prices {
        of_a_unit: 3_600,
        units_per_node_hour: BTreeMap::from([("infer.s", 1_000)]),
        units_of_the_tenant: BTreeMap::from([("g4", 500)]),
    };
    let machine = |components: &[(&'static str, u32)]| Machine {
        components: components.to_vec(),
        is_shown: true,
        is_billed_by_tokens: false,
    };
    let of = |components, seconds: i128| Figure::of(&machine(components), true, &prices, true, seconds * 1_000);
    // A second is a tenth of a cent: 5, 15 and 25 seconds lie between two.
    assert_eq!([5, 15, 25, 26].map(|seconds| of(&[("infer.s", 1)], seconds).cents), [0, 2, 2, 3].map(Some));
    let both = of(&[("infer.s", 2), ("g4", 1), ("gone", 0)], 7_200);
    assert_eq!(both, Figure { node_hours: 6_000_000, capacity_units: Some(5_000_000), cents: Some(1_800) });
    let unpriced = of(&[("infer.s", 1), ("gone", 1)], 3_600);
    assert_eq!(unpriced, Figure { node_hours: 2_000_000, capacity_units: None, cents: None });
    let nothing = Figure { node_hours: 0, capacity_units: None, cents: None };
    assert_eq!(of(&[("infer.s", 0)], 3_600), nothing);
    assert_eq!(Figure::of(&machine(&[("infer.s", 1)]), false, &prices, true, 3_600_000), nothing);
}
