//! A page as the HTML part of a mail: tables, inlined styles, nothing from elsewhere.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, context};

use crate::report::page::Page;

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
    environment.add_template(NAME, TEMPLATE)?;
    environment.get_template(NAME)?.render(context! { page => Serde(page) })
}

#[cfg(test)]
mod tests {
    use crate::report::page::Page;

    #[test]
    fn the_template_is_sound() {
        super::rendered(&Page::default()).unwrap();
    }
}
