//! From stored bytes to UTF-8 text: counts and hashes, decompresses, decodes. Splits nothing.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::{DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::plan::Encoding;

/// Stands where bytes could not be decoded: it is in no valid UTF-8, so that the row is rejected.
const UNDECODABLE: u8 = 0xff;

/// The largest window of a zstd frame (2^26 = 64 MiB): the memory that a file may ask for.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// What is known of a file's stored bytes while and after they are read.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Bytes read so far.
    pub bytes: AtomicU64,
    /// Whether the end was seen; the hash is whole then.
    hash: std::sync::Mutex<Option<blake3::Hash>>,
}

impl Stored {
    /// Returns the hash of all bytes, once the end was seen.
    pub fn hash(&self) -> Option<blake3::Hash> {
        *self.hash.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Counts and hashes what is read.
struct HashingReader {
    file: File,
    hasher: blake3::Hasher,
    stored: Arc<Stored>,
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.stored.bytes.fetch_add(length as u64, Ordering::Relaxed);
        if length == 0 && !buffer.is_empty() {
            *self.stored.hash.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(self.hasher.finalize());
        }
        Ok(length)
    }
}

/// How a file is compressed, by its first bytes: no delimited text begins with these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Returns what the first bytes of a file tell.
    pub fn of(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a skippable frame (RFC 8878).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Text of a file as UTF-8, with what is known of its stored bytes.
pub(super) struct Decoded {
    reader: Box<dyn Read + Send>,
    stored: Arc<Stored>,
}

impl std::fmt::Debug for Decoded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Decoded({:?})", self.stored)
    }
}

impl Decoded {
    /// Begins to read a file from its present place.
    ///
    /// # Errors
    /// Whatever the file reports, and a compression that its first bytes show to be broken.
    pub fn new(file: File, encoding: Encoding) -> io::Result<Self> {
        let stored = Arc::new(Stored::default());
        let raw = Peeked::new(HashingReader { file, hasher: blake3::Hasher::new(), stored: Arc::clone(&stored) }, 4)?;
        let plain: Box<dyn Read + Send> = match Compression::of(raw.first()) {
            Compression::None => Box::new(raw),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, raw))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(128 * 1024, raw))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        };
        let mut plain = Peeked::new(plain, 512)?;
        let reader: Box<dyn Read + Send> = match Charset::of(encoding, &mut plain) {
            None => Box::new(plain),
            Some(charset) => Box::new(Transcoder::new(plain, charset)),
        };
        Ok(Self { reader, stored })
    }

    /// Returns what is known of the stored bytes.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Reads whatever is left of the stored bytes, so that their hash is known.
    ///
    /// # Errors
    /// Whatever the file reports.
    pub fn exhaust(&mut self) -> io::Result<()> {
        io::copy(&mut self.reader, &mut io::sink()).map(drop)
    }
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// A reader whose first bytes were looked at.
struct Peeked<R> {
    first: Vec<u8>,
    taken: usize,
    rest: R,
}

impl<R: Read> Peeked<R> {
    fn new(mut rest: R, bytes_max: usize) -> io::Result<Self> {
        let mut first = Vec::with_capacity(bytes_max);
        rest.by_ref().take(bytes_max as u64).read_to_end(&mut first)?;
        Ok(Self { first, taken: 0, rest })
    }

    fn first(&self) -> &[u8] {
        &self.first
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.first.len() {
            return self.rest.read(buffer);
        }
        let length = buffer.len().min(self.first.len() - self.taken);
        buffer[..length].copy_from_slice(&self.first[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

/// An encoding that must be turned into UTF-8.
enum Charset {
    /// UTF-16, with its state.
    Wide(encoding_rs::Decoder),
    /// One byte a character: its UTF-8 for each byte.
    Narrow(Box<[([u8; 4], u8); 256]>),
}

impl Charset {
    /// Decides by the declaration and the byte order mark, which is taken away; `None` is UTF-8.
    fn of<R: Read>(declared: Encoding, plain: &mut Peeked<R>) -> Option<Self> {
        let first = plain.first();
        let wide = |encoding: &'static encoding_rs::Encoding| Some(Self::Wide(encoding.new_decoder_without_bom_handling()));
        let (mark, charset) = match (declared, first) {
            (Encoding::Auto | Encoding::Utf16 | Encoding::Utf16Le, [0xff, 0xfe, ..]) => (2, wide(UTF_16LE)),
            (Encoding::Auto | Encoding::Utf16 | Encoding::Utf16Be, [0xfe, 0xff, ..]) => (2, wide(UTF_16BE)),
            (Encoding::Utf16Le, _) => (0, wide(UTF_16LE)),
            (Encoding::Utf16Be, _) => (0, wide(UTF_16BE)),
            (Encoding::Utf16, _) => (0, wide(byte_order(first))),
            (Encoding::Auto | Encoding::Utf8, [0xef, 0xbb, 0xbf, ..]) => (3, None),
            (Encoding::Auto, _) if is_like_utf16(first) => (0, wide(byte_order(first))),
            (Encoding::Auto | Encoding::Utf8, _) => (0, None),
            (Encoding::Windows1252, _) => (
                0,
                Some(Self::Narrow(narrow(|byte| {
                    // The five bytes that windows-1252 leaves undefined; WHATWG's decoder makes control characters of them.
                    let is_undefined = matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d);
                    (!is_undefined).then(|| WINDOWS_1252.decode_without_bom_handling(&[byte]).0.chars().next())?
                }))),
            ),
            (Encoding::Latin1, _) => (0, Some(Self::Narrow(narrow(|byte| Some(char::from(byte)))))),
        };
        plain.taken = mark;
        charset
    }
}

/// Whether every second of the first bytes is zero, and no other: ASCII text in UTF-16.
fn is_like_utf16(first: &[u8]) -> bool {
    let half = first.len() / 2;
    half >= 2 && [0, 1].iter().any(|offset| zeros(first, *offset) * 10 >= half * 8 && zeros(first, 1 - *offset) == 0)
}

/// Returns the byte order of UTF-16 text: delimiters, digits and line ends have a zero byte, in whatever script the rest is.
fn byte_order(first: &[u8]) -> &'static encoding_rs::Encoding {
    if zeros(first, 0) > zeros(first, 1) { UTF_16BE } else { UTF_16LE }
}

/// Returns how many of every second byte are zero.
fn zeros(first: &[u8], offset: usize) -> usize {
    first.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count()
}

fn narrow(character: impl Fn(u8) -> Option<char>) -> Box<[([u8; 4], u8); 256]> {
    let mut table = Box::new([([UNDECODABLE, 0, 0, 0], 1); 256]);
    for byte in 0..=255_u8 {
        if let Some(character) = character(byte) {
            let entry = &mut table[usize::from(byte)];
            entry.1 = character.encode_utf8(&mut entry.0).len() as u8;
        }
    }
    table
}

/// Turns another encoding into UTF-8, with [`UNDECODABLE`] for what has no meaning in it.
struct Transcoder<R> {
    input: R,
    charset: Charset,
    block: Vec<u8>,
    output: Vec<u8>,
    taken: usize,
    is_ended: bool,
}

impl<R: Read> Transcoder<R> {
    fn new(input: R, charset: Charset) -> Self {
        Self { input, charset, block: vec![0; 64 * 1024], output: Vec::new(), taken: 0, is_ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        let length = self.input.read(&mut self.block)?;
        self.is_ended = length == 0;
        self.taken = 0;
        self.output.clear();
        let mut block = &self.block[..length];
        match &mut self.charset {
            Charset::Narrow(table) => {
                for byte in block {
                    let (bytes, length) = &table[usize::from(*byte)];
                    self.output.extend_from_slice(&bytes[..usize::from(*length)]);
                }
            }
            Charset::Wide(decoder) => loop {
                let start = self.output.len();
                let room = decoder.max_utf8_buffer_length_without_replacement(block.len()).unwrap_or(block.len() * 3 + 16);
                self.output.resize(start + room, 0);
                let (result, read, written) = decoder.decode_to_utf8_without_replacement(block, &mut self.output[start..], self.is_ended);
                self.output.truncate(start + written);
                block = &block[read..];
                match result {
                    DecoderResult::InputEmpty => break,
                    DecoderResult::Malformed(..) => self.output.push(UNDECODABLE),
                    DecoderResult::OutputFull => {}
                }
            },
        }
        Ok(())
    }
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.output.len() && !self.is_ended {
            self.refill()?;
        }
        let length = buffer.len().min(self.output.len() - self.taken);
        buffer[..length].copy_from_slice(&self.output[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, Write as _};

    fn read(bytes: &[u8], encoding: Encoding) -> io::Result<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let mut text = Vec::new();
        let mut decoded = Decoded::new(file, encoding)?;
        decoded.read_to_end(&mut text)?;
        assert_eq!(decoded.stored().hash(), Some(blake3::hash(bytes)));
        assert_eq!(decoded.stored().bytes.load(Ordering::Relaxed), bytes.len() as u64);
        Ok(text)
    }

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn each_encoding_becomes_utf_8_by_mark_or_declaration() {
        assert_eq!(read("\u{feff}naïve".as_bytes(), Encoding::Auto).unwrap(), "naïve".as_bytes());
        assert_eq!(read(&utf16("\u{feff}a,☃😀"), Encoding::Auto).unwrap(), "a,☃😀".as_bytes());
        assert_eq!(read(&utf16("a,☃😀"), Encoding::Utf16).unwrap(), "a,☃😀".as_bytes());
        assert_eq!(read(b"\xfe\xff\0a", Encoding::Auto).unwrap(), b"a");
        assert_eq!(read(b"\x80\xe9", Encoding::Windows1252).unwrap(), "€é".as_bytes());
        assert_eq!(read(b"\x80\xe9", Encoding::Latin1).unwrap(), "\u{80}é".as_bytes());
        assert_eq!(read(b"", Encoding::Auto).unwrap(), b"");
    }

    #[test]
    fn utf_16_without_a_mark_tells_its_byte_order_by_its_zeros() {
        let swapped = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
        for text in ["id,name\n1,x\n", "id,name\n1,é\n"] {
            for declared in [Encoding::Auto, Encoding::Utf16] {
                assert_eq!(read(&utf16(text), declared).unwrap(), text.as_bytes());
                assert_eq!(read(&swapped(text), declared).unwrap(), text.as_bytes());
            }
        }
        // Little of it is ASCII: only the declaration tells.
        let text = "имя,город\nАнна,Омск\n";
        for declared in [Encoding::Utf16, Encoding::Utf16Le] {
            assert_eq!(read(&utf16(text), declared).unwrap(), text.as_bytes());
        }
        for declared in [Encoding::Utf16, Encoding::Utf16Be] {
            assert_eq!(read(&swapped(text), declared).unwrap(), text.as_bytes());
        }
        assert_eq!(read(&utf16("\u{feff}a"), Encoding::Utf16Le).unwrap(), b"a");
        assert_eq!(read(&swapped("\u{feff}a"), Encoding::Utf16Be).unwrap(), b"a");
        assert_ne!(read(&utf16(text), Encoding::Auto).unwrap(), text.as_bytes());
    }

    #[test]
    fn what_cannot_be_decoded_stays_invalid() {
        assert_eq!(read(b"a\x81b", Encoding::Windows1252).unwrap(), b"a\xffb");
        assert_eq!(read(b"\xff\xfe\x00\xd8a\0", Encoding::Auto).unwrap(), b"\xffa");
        assert_eq!(read(b"\xff\xfea\0b", Encoding::Auto).unwrap(), b"a\xff");
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_files_are_read_whole_or_not_at_all() {
        let text = b"id,name\n1,one\n".repeat(1000);
        let zstd = zstd::encode_all(&text[..], 3).unwrap();
        for packed in [gzip(&text), zstd] {
            assert_eq!(read(&packed, Encoding::Auto).unwrap(), text);
            assert_eq!(read(&[packed.clone(), packed.clone()].concat(), Encoding::Auto).unwrap(), [text.clone(), text.clone()].concat());
            for cut in [1, 5, 9, packed.len() / 2] {
                assert!(read(&packed[..packed.len() - cut], Encoding::Auto).is_err(), "{cut} bytes short");
            }
            assert!(read(&[packed, b"trailing".to_vec()].concat(), Encoding::Auto).is_err());
        }
    }
}
