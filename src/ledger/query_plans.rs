//! What SQLite plans for a question: for the tests of those that are asked once for each row.

use rusqlite::{Connection, params_from_iter};

use crate::ledger::migrations::MIGRATIONS;

/// Fails where one of `questions` walks through a whole table.
pub(crate) fn assert_no_table_is_walked(questions: &[&str]) {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&MIGRATIONS.concat()).unwrap();
    for question in questions {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {question}")).unwrap();
        let values = vec![0; plan.parameter_count()];
        let lines = plan.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        let lines: Vec<String> = lines.map(Result::unwrap).collect();
        assert!(lines.iter().all(|line| !line.starts_with("SCAN") || line.contains("CONSTANT ROW")), "{lines:#?}");
    }
}
