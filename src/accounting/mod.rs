//! Floor 3: the books. Settles avoided costs after their off windows, and draws up the report of a period.

pub mod period;
pub mod settle;
