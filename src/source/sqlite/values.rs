//! Types of SQLite columns: what the catalogue declares, widened by what is really stored. Pure.

use rusqlite::types::ValueRef;

use crate::batch::ColumnType;

/// Whole numbers up to here are exact doubles.
const DOUBLE_INTEGER_MAX: u64 = 1 << 53;

/// What is known of the values of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stored {
    declared: Declared,
    has_integer: bool,
    has_real: bool,
    has_text: bool,
    has_blob: bool,
    /// A whole number that a double doesn't hold.
    is_beyond_double: bool,
    /// A whole number other than 0 and 1.
    is_beyond_boolean: bool,
}

/// What a declared type promises (sqlite.org/datatype3.html, 3.1, and BOOLEAN beside it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Declared {
    #[default]
    Nothing,
    Boolean,
    Integer,
    Real,
    Text,
    Blob,
}

impl Stored {
    /// Begins with the declared type of a column.
    pub fn declared(name: &str) -> Self {
        let name = name.to_ascii_uppercase();
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        let declared = if has(&["INT"]) {
            Declared::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Declared::Text
        } else if has(&["BLOB"]) {
            Declared::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Declared::Real
        } else if has(&["BOOL"]) {
            Declared::Boolean
        } else {
            Declared::Nothing
        };
        Self { declared, ..Self::default() }
    }

    /// Takes one more value.
    #[inline]
    pub fn observe(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => {}
            ValueRef::Integer(number) => {
                self.has_integer = true;
                self.is_beyond_double |= number.unsigned_abs() > DOUBLE_INTEGER_MAX;
                self.is_beyond_boolean |= !(0..=1).contains(&number);
            }
            ValueRef::Real(_) => self.has_real = true,
            ValueRef::Text(_) => self.has_text = true,
            ValueRef::Blob(_) => self.has_blob = true,
        }
    }

    /// Returns the narrowest type that holds the values and what is declared; text beside blobs leaves the blobs out.
    pub fn column_type(self) -> ColumnType {
        use ColumnType::{Binary, Boolean, Float64, Int64, Text};
        let has_integer = self.has_integer || self.declared == Declared::Integer;
        let has_real = self.has_real || self.declared == Declared::Real;
        let has_text = self.has_text || self.declared == Declared::Text;
        if has_text {
            Text
        } else if self.has_blob {
            if has_integer || has_real { Text } else { Binary }
        } else if has_real {
            if self.is_beyond_double { Text } else { Float64 }
        } else if self.declared == Declared::Boolean && !self.is_beyond_boolean {
            Boolean
        } else if has_integer {
            Int64
        } else if self.declared == Declared::Blob {
            Binary
        } else {
            Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(declared: &str, values: &[ValueRef<'_>], expected: ColumnType) {
        let mut stored = Stored::declared(declared);
        values.iter().for_each(|value| stored.observe(*value));
        assert_eq!(stored.column_type(), expected, "{declared} {values:?}");
    }

    #[test]
    fn a_column_has_the_type_that_holds_what_is_declared_and_stored() {
        use ValueRef::{Blob, Integer, Null, Real, Text};
        check("INTEGER", &[Null], ColumnType::Int64);
        check("varchar(10)", &[Integer(5)], ColumnType::Text);
        check("DOUBLE", &[], ColumnType::Float64);
        check("BOOLEAN", &[Integer(0), Integer(1)], ColumnType::Boolean);
        check("BOOLEAN", &[Integer(2)], ColumnType::Int64);
        check("DECIMAL(10,2)", &[Integer(1), Real(2.5)], ColumnType::Float64);
        check("DECIMAL(10,2)", &[Integer(9_007_199_254_740_993), Real(2.5)], ColumnType::Text);
        check("INTEGER", &[Text(b"x")], ColumnType::Text);
        check("", &[Blob(b"x")], ColumnType::Binary);
        check("BLOB", &[Blob(b"x"), Text(b"x")], ColumnType::Text);
        check("BLOB", &[], ColumnType::Binary);
        check("DATETIME", &[], ColumnType::Text);
    }
}
