# Commands for people who work on offhours. `just` lists them; https://just.systems has the program.

export CARGO_TERM_COLOR := env("CARGO_TERM_COLOR", "auto")

# List the recipes
[private]
default:
    @just --list --unsorted

# Run a week on the built-in tenant; writes to offhours-demo/
demo:
    cargo run --release -- demo

# Run the tests, or those whose name contains NAME: `just test a04`
test *NAME:
    cargo test --locked {{ NAME }}

# Format and lint as CI does
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings

# Build the documentation of the code and open it
doc:
    cargo doc --locked --no-deps --document-private-items --open

# Rewrite the generated files: schema/, tests/FAULTS.md, and the tables of keys in docs/configuration.md
write:
    OFFHOURS_WRITE=1 cargo test --locked --test suite -- shipped_rules faults::the_list readme::keys

# Take pictures of the demo's mails, wide and narrow, light and dark
screenshots:
    tests/screenshots.sh

# Everything a change must pass, as root on Debian 12
ci:
    .ci/run
