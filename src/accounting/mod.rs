//! Floor 3: the books. Settles avoided costs after their off windows, draws up the report of a period, and mails the
//! reports of the calendar.

pub mod attached;
pub mod period;
pub mod reports;
pub mod settle;
