//! Every fault of AI Core, and what a whole run must come to. The names of the tests begin with the rows of the fault
//! table.

mod answers;
mod credentials;
mod requests;

use chrono::TimeDelta;
use offhours::simulator::{Fault, Fleet};

use crate::scenario::builder::Scenario;
use crate::scenario::fired::Fired;

pub const LIST: &str = "/lm/deployments";
pub const BULK: &str = "/lm/deployments";
pub const ONE: &str = "/lm/deployments/d001";

/// One deployment in a tenant without bulk changes.
pub fn single() -> Fleet {
    bulk().without_bulk()
}

/// One deployment in a tenant with bulk changes.
pub fn bulk() -> Fleet {
    Fleet::new().group("dev-a").running("d001", "infer.s")
}

pub fn fire(fleet: Fleet, fault: Fault) -> Fired {
    Scenario::evenings().fleet(fleet).fault(fault).fire()
}

/// Fired by a person, so that there is one try.
pub fn fire_once(fleet: Fleet, fault: Fault) -> Fired {
    Scenario::evenings().fleet(fleet).fault(fault).fire_by_hand("dev-evenings")
}

/// A run that could do nothing: one word of why, no PATCH, nothing counted.
pub fn fails(fired: &Fired, keyword: &str) {
    fired.result("failed").because(keyword).patches(0).avoids_nothing();
    ends_in_time(fired);
}

pub fn ends_in_time(fired: &Fired) {
    let took = fired.run().finished_at - fired.run().started_at;
    assert!(took <= TimeDelta::minutes(30), "it took {took}");
}

pub fn took_seconds(fired: &Fired) -> i64 {
    (fired.run().finished_at - fired.run().started_at).num_seconds()
}

pub fn requests(fired: &Fired, method: &str, path_suffix: &str) -> usize {
    fired.stage.count(method, path_suffix)
}
