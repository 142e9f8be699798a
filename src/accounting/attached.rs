//! What goes with the mail of a period's report: its rows as CSV and JSON, the report as a page.

use crate::accounting::period::{Books, WriteError};
use crate::config::AttachmentForm as Wanted;
use crate::domain::zone::Zone;
use crate::ledger::LedgerError;
use crate::report::{AttachedFile, CSV, Content, CsvForm, LARGEST_ATTACHMENTS, Parcel, ReportContext, period_report};

/// The report as a mail, with what is `wanted` of it attached. What is too large for a mail is left out, and the mail says
/// so. `name` is what the report is called.
pub(crate) fn mail(
    mut books: Books<'_>,
    wanted: &[Wanted],
    name: &str,
    context: &ReportContext<'_>,
) -> Result<Content, LedgerError> {
    let attachments = rows(&mut books, wanted, name, context.zone)?;
    let mut content = period_report(&books.report(), context);
    content.attachments = attachments;
    if wanted.contains(&Wanted::Html) {
        content.attachments.push(AttachedFile {
            name: format!("offhours-{name}.html"),
            content_type: "text/html; charset=utf-8".to_owned(),
            bytes: content.html.clone().into_bytes(),
        });
    }
    Ok(content)
}

/// The forms with all rows. They share what a mail may weigh; the page is always small.
fn rows(books: &mut Books<'_>, wanted: &[Wanted], name: &str, zone: &Zone) -> Result<Vec<AttachedFile>, LedgerError> {
    let forms: Vec<Wanted> =
        [Wanted::Csv, Wanted::CsvExcel, Wanted::Json].into_iter().filter(|form| wanted.contains(form)).collect();
    let mut attachments = Vec::new();
    for form in &forms {
        let mut parcel = Parcel::new(LARGEST_ATTACHMENTS / forms.len());
        let (written, file, content_type, word) = match form {
            Wanted::Json => {
                (books.write_json(&mut parcel), format!("offhours-{name}.json"), "application/json", "json")
            }
            Wanted::CsvExcel => {
                let form = CsvForm::Excel(zone.clone());
                let file = format!("{}-excel.csv", books.file_name(zone));
                (books.write_csv(&mut parcel, form), file, CSV, "csv-excel")
            }
            Wanted::Csv | Wanted::Html => {
                let file = format!("{}.csv", books.file_name(zone));
                (books.write_csv(&mut parcel, CsvForm::Exact), file, CSV, "csv")
            }
        };
        // The other failure is the parcel's, which says it by itself.
        if let Err(WriteError::Ledger(error)) = written {
            return Err(error);
        }
        match parcel.close(&file, content_type) {
            Some(attachment) => attachments.push(attachment),
            None => books.note(too_large(word, &books.by_hand(word))),
        }
    }
    Ok(attachments)
}

fn too_large(form: &str, command: &str) -> String {
    format!("The {} is too large for a mail, also compressed: `{command}` writes it.", form.to_uppercase())
}
