//! Values that come in the form in which columns keep them.

use super::{ColumnBuilder, Misfit, Values};

impl ColumnBuilder {
    /// Appends a value in the column's own units (days, microseconds, 1); returns the bytes it takes.
    ///
    /// # Errors
    /// As for [`ColumnBuilder::append_text`].
    #[inline]
    pub fn append_units(&mut self, value: i64) -> Result<usize, Misfit> {
        match &mut self.values {
            Values::Int64(values) => values.push(value),
            Values::Int32(values) => values.push(i32::try_from(value).map_err(|_| Misfit)?),
            Values::Int16(values) => values.push(i16::try_from(value).map_err(|_| Misfit)?),
            Values::Boolean(values) if value == 0 || value == 1 => values.append(value == 1),
            _ => return Err(Misfit),
        }
        self.validity.append_non_null();
        Ok(self.width())
    }

    /// Appends a single to a column of singles; returns the bytes it takes.
    ///
    /// # Errors
    /// As for [`ColumnBuilder::append_text`].
    pub fn append_f32(&mut self, value: f32) -> Result<usize, Misfit> {
        let Values::Float32(values) = &mut self.values else { return Err(Misfit) };
        values.push(value);
        self.validity.append_non_null();
        Ok(4)
    }

    /// Appends a decimal of up to 38 digits in units of its scale; returns the bytes it takes.
    ///
    /// # Errors
    /// As for [`ColumnBuilder::append_text`].
    pub fn append_decimal(&mut self, units: i128) -> Result<usize, Misfit> {
        let Values::Decimal128(values) = &mut self.values else { return Err(Misfit) };
        values.push(units);
        self.validity.append_non_null();
        Ok(16)
    }

    /// Appends a UUID; returns the bytes it takes.
    ///
    /// # Errors
    /// As for [`ColumnBuilder::append_text`].
    pub fn append_uuid(&mut self, value: [u8; 16]) -> Result<usize, Misfit> {
        let Values::Uuid(values) = &mut self.values else { return Err(Misfit) };
        values.extend_from_slice(&value);
        self.validity.append_non_null();
        Ok(16)
    }

    /// Appends valid UTF-8 to a column of text or JSON, unlooked at; returns the bytes it takes.
    ///
    /// # Errors
    /// As for [`ColumnBuilder::append_text`].
    #[inline]
    pub fn append_utf8(&mut self, text: &[u8]) -> Result<usize, Misfit> {
        let Values::Bytes { ends, bytes } = &mut self.values else { return Err(Misfit) };
        let end = i32::try_from(bytes.len() + text.len()).map_err(|_| Misfit)?;
        bytes.extend_from_slice(text);
        ends.push(end);
        self.validity.append_non_null();
        Ok(4 + text.len())
    }
}
