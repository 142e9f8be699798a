//! Each message that docs/troubleshooting.md quotes is one of the program's: its fixed words stand in the sources.

use std::fs;
use std::path::PathBuf;

use super::{TROUBLESHOOTING, root};

const BEGIN: &str = "**`` ";
const END: &str = " ``**";

/// The quoted messages, each in one line.
fn quotes() -> Vec<String> {
    let text = TROUBLESHOOTING.split_whitespace().collect::<Vec<_>>().join(" ");
    let quotes = text.split(BEGIN).skip(1);
    quotes.map(|rest| rest.split_once(END).unwrap_or_else(|| panic!("no end: {rest}")).0.to_owned()).collect()
}

/// The texts in the sources, as the program prints them: without the breaks and escapes of a string literal.
fn sources() -> String {
    let mut open: Vec<PathBuf> = vec![root().join("src")];
    let mut text = String::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |joined, line| joined + line.trim_start()).replace("\\\"", "\"")
}

#[test]
fn every_message_it_quotes_is_one_of_the_programs() {
    let (quotes, sources) = (quotes(), sources());
    assert!(quotes.len() > 40, "only {} messages", quotes.len());
    let mut strange = Vec::new();
    for quote in &quotes {
        let words = quote.split('…').map(|part| part.trim_matches([' ', ';', ',', ':', '.', '`']));
        let words: Vec<&str> = words.filter(|words| !words.is_empty()).collect();
        assert!(words.concat().len() > 10, "too little of a message: {quote}");
        strange.extend(
            words.iter().filter(|words| !sources.contains(**words)).map(|words| format!("{words}  in  {quote}")),
        );
    }
    assert!(strange.is_empty(), "the program does not say:\n{}", strange.join("\n"));
}
