//! The command line as people see it: whole outputs, exit codes, and what must never be printed.

mod checks;
mod exits;
mod holds;
mod inits;
mod ledger;
mod manual;
mod modes;
mod outputs;
mod rehearsals;
mod said;
mod secrets;
mod starttls;
mod terminal;
