//! Why a text is not a cron expression.

use crate::domain::cron::dialect::Dialect;

/// Why a text is not a valid cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCron {
    /// Not five or six fields.
    #[error("a cron expression has 5 fields, or 6 with seconds first, not {0}")]
    FieldCount(usize),
    /// A number outside its field's range.
    #[error("{field} {value} is out of range {from}-{to}")]
    OutOfRange { field: &'static str, value: u64, from: u32, to: u32 },
    #[error("{0}")]
    Field(String),
    /// No date ever matches.
    #[error("it never occurs: no date matches")]
    Never,
    /// Another program's way to write a schedule.
    #[error("it is written for {dialect}")]
    Foreign {
        dialect: Dialect,
        /// The same as a cron expression, where there is one.
        instead: Option<String>,
    },
}
