//! A file on its way into a mail. Mail servers refuse what is too large, and a refused mail is nobody's: what does not fit
//! as it is is compressed, and what does not fit then either is left out, while it is being written.

use std::io::{self, BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::report::content::AttachedFile;

/// The most that all attachments of a mail may have together, in bytes before the mail encodes them. With base64 around
/// them that is 7 MB, where the servers of the large providers take 10 MB and more.
pub const LARGEST_ATTACHMENTS: usize = 5_000_000;

/// Rows come in small pieces, and the compressor takes about as long for a byte as for so many.
const AT_ONCE: usize = 64 * 1024;

/// A file that is being written, of limited size.
#[derive(Debug)]
pub(crate) struct Parcel {
    limit: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Plain(Vec<u8>),
    Compressed(BufWriter<GzEncoder<Limited>>),
    TooLarge,
}

impl Parcel {
    /// An empty one that may come to hold `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, content: Content::Plain(Vec::new()) }
    }

    /// The attachment called `name`, compressed where it had to be; none where it is too large all the same.
    pub(crate) fn close(self, name: &str, content_type: &str) -> Option<AttachedFile> {
        match self.content {
            Content::Plain(bytes) => {
                Some(AttachedFile { name: name.to_owned(), content_type: content_type.to_owned(), bytes })
            }
            Content::Compressed(encoder) => Some(AttachedFile {
                name: format!("{name}.gz"),
                content_type: "application/gzip".to_owned(),
                bytes: encoder.into_inner().ok()?.finish().ok()?.bytes,
            }),
            Content::TooLarge => None,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.content {
            Content::Plain(so_far) if so_far.len() + bytes.len() <= self.limit => so_far.write_all(bytes),
            Content::Plain(so_far) => {
                let out = Limited { limit: self.limit, bytes: Vec::new() };
                let mut encoder = BufWriter::with_capacity(AT_ONCE, GzEncoder::new(out, Compression::default()));
                encoder.write_all(so_far).and_then(|()| encoder.write_all(bytes))?;
                self.content = Content::Compressed(encoder);
                Ok(())
            }
            Content::Compressed(encoder) => encoder.write_all(bytes),
            Content::TooLarge => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }
}

impl Write for Parcel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.take(bytes);
        if taken.is_err() {
            self.content = Content::TooLarge;
        }
        taken.map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Limited {
    limit: usize,
    bytes: Vec<u8>,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use flate2::read::GzDecoder;

    use super::Parcel;
    use crate::report::content::AttachedFile;

    fn sent(limit: usize, content: &[u8]) -> Option<AttachedFile> {
        let mut parcel = Parcel::new(limit);
        // Where it fails, the parcel knows why.
        let _ = content.chunks(100).try_for_each(|piece| parcel.write_all(piece));
        parcel.close("rows.csv", "text/csv")
    }

    #[test]
    fn e21_an_attachment_is_compressed_where_it_is_too_large_and_left_out_where_that_does_not_help() {
        let rows = "dev-evenings,stopped,10.25\r\n".repeat(1_000).into_bytes();
        let plain = sent(rows.len(), &rows).unwrap();
        assert_eq!(
            (plain.name.as_str(), plain.content_type.as_str(), plain.bytes.as_slice()),
            ("rows.csv", "text/csv", rows.as_slice())
        );

        let compressed = sent(rows.len() - 1, &rows).unwrap();
        assert_eq!((compressed.name.as_str(), compressed.content_type.as_str()), ("rows.csv.gz", "application/gzip"));
        let mut back = Vec::new();
        GzDecoder::new(compressed.bytes.as_slice()).read_to_end(&mut back).unwrap();
        assert_eq!(back, rows);

        let mut noise = fastrand::Rng::with_seed(7);
        let random: Vec<u8> = std::iter::repeat_with(|| noise.u8(..)).take(20_000).collect();
        assert_eq!(sent(10_000, &random), None);
    }
}
