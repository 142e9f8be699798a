//! Floor 1: e-mail. Addresses, settings, rendered bytes, and one attempt to deliver them. The only module that knows
//! lettre.

pub mod settings;
