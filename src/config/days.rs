//! The days of a calendar.

use std::collections::BTreeMap;

use chrono::NaiveDate;

/// Days, and what each is called where its calendar says it.
pub type Days = BTreeMap<NaiveDate, String>;
