//! In whose form dates and numbers are written. The words stay English.

/// In whose form dates and numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locale {
    /// 1,234.50 and Mon 23 Nov 2026.
    #[default]
    En,
    /// 1.234,50 and Mo 23.11.2026.
    De,
}
