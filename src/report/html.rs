//! A page as the HTML part of a mail: tables, inlined styles, nothing from elsewhere.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, HtmlEscape, Output, State, Value, context, escape_formatter};

use crate::report::page::Page;
use crate::report::text::stay_together;

/// The end in `.html` turns escaping on.
const NAME: &str = "page.html";
const TEMPLATE: &str = include_str!("templates/page.html");

/// Renders `page`. Where the template itself is broken, which a test rules out, the reader still gets the facts.
pub(super) fn render(page: &Page) -> String {
    rendered(page).unwrap_or_else(|_| {
        let text = super::text::render(page);
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!("<!doctype html><html lang=\"en\"><body><pre>{escaped}</pre></body></html>")
    })
}

fn rendered(page: &Page) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_formatter(formatted);
    environment.add_template(NAME, TEMPLATE)?;
    environment.get_template(NAME)?.render(context! { page => Serde(page) })
}

/// Whatever a template shows of a page is set, not only escaped.
fn formatted(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    match value.as_str() {
        Some(text) if *state.auto_escape() == AutoEscape::Html && !value.is_safe() => Ok(set(out, text)?),
        _ => escape_formatter(out, state, value),
    }
}

/// Escapes `text`, sets what stands between backticks as code, and keeps a currency and its amount on one line.
fn set(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut parts = text.split('`').peekable();
    let mut is_code = false;
    while let Some(part) = parts.next() {
        match (is_code, parts.peek().is_some()) {
            (true, true) => {
                write!(out, "<code style=\"font-family:Consolas,Menlo,monospace\">{}</code>", HtmlEscape(part))?;
            }
            // The last backtick has no other one.
            (true, false) => write!(out, "`{}", HtmlEscape(&unbroken(part)))?,
            (false, _) => write!(out, "{}", HtmlEscape(&unbroken(part)))?,
        }
        is_code = !is_code;
    }
    Ok(())
}

/// With a space that does not break between a currency and its amount.
fn unbroken(text: &str) -> String {
    let mut words = text.split(' ').peekable();
    let mut set = String::with_capacity(text.len());
    while let Some(word) = words.next() {
        set.push_str(word);
        if let Some(next) = words.peek() {
            set.push(if stay_together(word, next) { '\u{a0}' } else { ' ' });
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use crate::report::page::Page;

    #[test]
    fn the_template_is_sound() {
        super::rendered(&Page::default()).unwrap();
    }

    fn set(text: &str) -> String {
        let mut out = String::new();
        super::set(&mut out, text).unwrap();
        out
    }

    #[test]
    fn e51_what_stands_between_backticks_is_code_and_an_amount_stays_with_its_currency() {
        let code = "<code style=\"font-family:Consolas,Menlo,monospace\">";
        assert_eq!(set("run `offhours fire a<b` now"), format!("run {code}offhours fire a&lt;b</code> now"));
        assert_eq!(set("a ` alone & `"), format!("a {code} alone &amp; </code>"));
        assert_eq!(set("one ` only"), "one ` only");
        assert_eq!(set("EUR 1,234.50 and CHF 2.00 of NEW things"), "EUR\u{a0}1,234.50 and CHF\u{a0}2.00 of NEW things");
    }
}
