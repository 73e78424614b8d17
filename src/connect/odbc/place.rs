//! Places to which drivers write values.

use std::ffi::c_void;
use std::marker::PhantomData;

use odbc_api::handles::{CData, CDataMut};
use odbc_api::sys::{CDataType, Len};

/// Where values of a column go, and beside each what its driver says of it. No place is longer than its memory.
#[derive(Debug)]
pub struct Place<'memory> {
    c_type: CDataType,
    values: *mut c_void,
    /// Bytes of a value.
    width: usize,
    indicators: *mut Len,
    memory: PhantomData<&'memory mut [u8]>,
}

impl<'memory> Place<'memory> {
    /// Makes the place of one value.
    pub fn one(c_type: CDataType, value: &'memory mut [u8], indicator: &'memory mut Len) -> Self {
        Self { c_type, values: value.as_mut_ptr().cast(), width: value.len(), indicators: indicator, memory: PhantomData }
    }

    /// Makes the places of as many values as there are indicators, of so many bytes each; `None` where there is no room for them.
    pub fn many(c_type: CDataType, values: &'memory mut [u64], width: usize, indicators: &'memory mut [Len]) -> Option<Self> {
        let (values_length, pointer) = (size_of_val(values), values.as_mut_ptr().cast());
        let has_room = width.checked_mul(indicators.len()).is_some_and(|bytes| bytes <= values_length);
        has_room.then_some(Self { c_type, values: pointer, width, indicators: indicators.as_mut_ptr(), memory: PhantomData })
    }
}

// SAFETY: the pointers are those of slices that are borrowed, and a value's bytes are as many as is told.
unsafe impl CData for Place<'_> {
    fn cdata_type(&self) -> CDataType {
        self.c_type
    }

    fn indicator_ptr(&self) -> *const isize {
        self.indicators
    }

    fn value_ptr(&self) -> *const c_void {
        self.values
    }

    fn buffer_length(&self) -> isize {
        Len::try_from(self.width).unwrap_or(Len::MAX)
    }
}

// SAFETY: as above.
unsafe impl CDataMut for Place<'_> {
    fn mut_indicator_ptr(&mut self) -> *mut isize {
        self.indicators
    }

    fn mut_value_ptr(&mut self) -> *mut c_void {
        self.values
    }
}
