//! Mails as `.eml` files in a directory, for those who have no SMTP server yet, and for the demo.

use std::path::Path;

use crate::mail::delivery_error::DeliveryError;
use crate::mail::receipt::Receipt;
use crate::private_file;

/// Writes `bytes` under a name made of their date and message id; the same mail written again replaces itself.
pub(super) fn write(directory: &Path, bytes: &[u8]) -> Result<Receipt, DeliveryError> {
    let path = directory.join(file_name(bytes));
    let failed = |source| DeliveryError::Directory { path: path.clone(), source };
    private_file::make_directory(directory).map_err(failed)?;
    private_file::write(&path, bytes).map_err(failed)?;
    Ok(Receipt { reply: path.display().to_string() })
}

/// `20261123T180012Z-<message id>.eml`.
fn file_name(bytes: &[u8]) -> String {
    let header = |name: &str| {
        let head =
            bytes.split(|&b| b == b'\n').take_while(|line| line.trim_ascii() != b"").map(String::from_utf8_lossy);
        let mut lines = head.filter_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()));
        lines.next().unwrap_or_default()
    };
    let date = chrono::DateTime::parse_from_rfc2822(&header("Date:"))
        .map_or_else(|_| "undated".to_owned(), |date| date.to_utc().format("%Y%m%dT%H%M%SZ").to_string());
    let id: String = header("Message-ID:")
        .trim_matches(['<', '>'])
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@') { c } else { '_' })
        .take(120)
        .collect();
    format!("{date}-{id}.eml")
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn the_name_is_date_and_message_id_and_stays_in_its_directory() {
        let mail = b"Message-ID: <../../a b@offhours>\r\nDate: Mon, 23 Nov 2026 18:00:12 +0000\r\n\r\nDate: no\r\n";
        assert_eq!(file_name(mail), "20261123T180012Z-______a_b@offhours.eml");
        assert_eq!(file_name(b"\r\nbody"), "undated-.eml");
    }
}
