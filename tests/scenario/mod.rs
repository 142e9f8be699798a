//! Whole runs, from a rule in a TOML file to what is in the ledger and in the mail, against the simulator and on
//! virtual time. What must never happen is judged by what the other side received: see [`invariants`], which every
//! stage is held to when it is taken down.

mod agreement;
mod books;
mod builder;
mod clock_steps;
mod decisions;
mod facts;
mod faults;
mod fired;
mod fleets;
mod invariants;
mod notices;
mod observed;
mod old_lists;
mod oracle;
mod outages;
mod overlap;
mod quiet;
mod random;
mod recovery;
mod reports;
mod settling;
mod stage;
mod stuck;
mod taken_away;
mod time;
mod year;
