//! In whose form dates and numbers are written. The words stay English.

use crate::domain::words::words;

words! {
    /// In whose form dates and numbers are written.
    #[derive(Default)]
    pub Locale {
        /// 1,234.50 and Mon 23 Nov 2026.
        #[default]
        En = "en",
        /// 1.234,50 and Mo 23.11.2026.
        De = "de",
    }
}
