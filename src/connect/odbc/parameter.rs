//! Values of statements, in the form in which drivers take them.

use odbc_sys::{CDataType, Len, NULL_DATA, SqlDataType};

/// A value that stands for a `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// NULL, of no type that matters.
    Null,
    /// Text, as SQL_WVARCHAR.
    Text(String),
    /// Text of ASCII characters, as SQL_VARCHAR.
    Ascii(String),
    /// A whole number of 64 bits, as SQL_BIGINT.
    Integer(i64),
    /// Digits with a point, as SQL_DECIMAL.
    Decimal {
        /// Its text.
        text: String,
        /// Its digits.
        precision: u8,
        /// Those of them that stand behind the point.
        scale: i8,
    },
    /// A date.
    Date {
        /// The year.
        year: i16,
        /// The month, from 1.
        month: u16,
        /// The day, from 1.
        day: u16,
    },
    /// A wall clock's moment.
    Timestamp {
        /// Year, month, day, hour, minute, second.
        parts: [i16; 6],
        /// Nanoseconds.
        nanos: u32,
        /// How many digits of a second are meant.
        decimals: i16,
    },
}

/// A value where the driver reads it.
#[derive(Debug)]
pub(super) struct Bound {
    pub c_type: CDataType,
    pub sql_type: SqlDataType,
    pub size: usize,
    pub digits: i16,
    pub bytes: Vec<u8>,
    pub length: Box<Len>,
}

impl Bound {
    pub fn new(parameter: &Parameter) -> Self {
        let ascii = |text: &str| text.as_bytes().to_vec();
        let (c_type, sql_type, size, digits, bytes) = match parameter {
            Parameter::Null => (CDataType::Char, SqlDataType::VARCHAR, 1, 0, Vec::new()),
            Parameter::Text(text) => {
                let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_ne_bytes).collect();
                (CDataType::WChar, SqlDataType::EXT_W_VARCHAR, (bytes.len() / 2).max(1), 0, bytes)
            }
            Parameter::Ascii(text) => (CDataType::Char, SqlDataType::VARCHAR, text.len().max(1), 0, ascii(text)),
            Parameter::Integer(number) => (CDataType::SBigInt, SqlDataType::EXT_BIG_INT, 19, 0, number.to_ne_bytes().to_vec()),
            Parameter::Decimal { text, precision, scale } => {
                (CDataType::Char, SqlDataType::DECIMAL, usize::from(*precision), i16::from(*scale), ascii(text))
            }
            Parameter::Date { year, month, day } => {
                let bytes = [year.to_ne_bytes(), month.to_ne_bytes(), day.to_ne_bytes()].concat();
                (CDataType::TypeDate, SqlDataType::DATE, 10, 0, bytes)
            }
            Parameter::Timestamp { parts, nanos, decimals } => {
                let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_ne_bytes()).collect();
                bytes.extend(nanos.to_ne_bytes());
                let size = if *decimals > 0 { 20 + usize::try_from(*decimals).unwrap_or_default() } else { 19 };
                (CDataType::TypeTimestamp, SqlDataType::TIMESTAMP, size, *decimals, bytes)
            }
        };
        let is_null = *parameter == Parameter::Null;
        let length = Box::new(if is_null { NULL_DATA } else { Len::try_from(bytes.len()).unwrap_or(Len::MAX) });
        // An empty Vec has no memory, and drivers take a null pointer for NULL.
        let bytes = if bytes.is_empty() { vec![0] } else { bytes };
        Self { c_type, sql_type, size, digits, bytes, length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_the_layout_of_sql_timestamp_struct() {
        let bound = Bound::new(&Parameter::Timestamp { parts: [2024, 2, 29, 23, 59, 58], nanos: 123_456_700, decimals: 7 });
        assert_eq!((bound.bytes.len(), *bound.length, bound.size, bound.digits), (size_of::<odbc_sys::Timestamp>(), 16, 27, 7));
        assert_eq!(&bound.bytes[..2], 2024_i16.to_ne_bytes());
        assert_eq!(&bound.bytes[12..], 123_456_700_u32.to_ne_bytes());
    }

    #[test]
    fn an_empty_text_is_no_null() {
        let bound = Bound::new(&Parameter::Text(String::new()));
        assert_eq!((*bound.length, bound.bytes.len(), bound.size), (0, 1, 1));
        let bound = Bound::new(&Parameter::Text("a😀".to_owned()));
        assert_eq!((*bound.length, bound.size), (6, 3));
    }
}
