//! offhours.toml. What is refused is refused at a place that exists, in words that act on no terminal; and a secret that
//! stands where none belongs is never shown.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../files.rs"]
mod files;

fuzz_target!(|data: &[u8]| {
    match files::load("offhours.toml", data) {
        Ok(config) => assert!(!config.connections.is_empty()),
        Err(faults) => files::stand_in(&faults, "offhours.toml", data),
    }
    files::show_no_secret("offhours.toml", data);
});
