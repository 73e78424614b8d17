//! Geometries as text: the SRID where there is one, and WKT with the shortest digits that name each coordinate exactly. Pure.
//!
//! The server's own ST_AsText rounds coordinates and forgets the SRID.

use std::io::Write as _;

/// The deepest nesting of collections.
const DEPTH_MAX: usize = 32;

/// Appends the text of a geometry as it comes over the wire: four bytes of SRID, then WKB (OGC 06-103r4, "8.2").
pub(super) fn write(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    let (srid, mut rest) = bytes.split_first_chunk::<4>()?;
    match u32::from_le_bytes(*srid) {
        0 => {}
        // Writing to a Vec can't fail.
        srid => _ = write!(out, "SRID={srid};"),
    }
    shape(out, &mut rest, true, 0)?;
    rest.is_empty().then_some(())
}

/// Reads numbers in one byte order.
#[derive(Clone, Copy)]
struct Order {
    is_little: bool,
}

impl Order {
    fn u32(self, rest: &mut &[u8]) -> Option<u32> {
        let (bytes, after) = rest.split_first_chunk::<4>()?;
        *rest = after;
        Some(if self.is_little { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) })
    }

    fn f64(self, rest: &mut &[u8]) -> Option<f64> {
        let (bytes, after) = rest.split_first_chunk::<8>()?;
        *rest = after;
        Some(if self.is_little { f64::from_le_bytes(*bytes) } else { f64::from_be_bytes(*bytes) })
    }
}

/// Appends one shape, with its name where its parent doesn't say it.
fn shape(out: &mut Vec<u8>, rest: &mut &[u8], is_named: bool, depth: usize) -> Option<()> {
    let (order, after) = rest.split_first()?;
    *rest = after;
    let order = Order { is_little: *order == 1 };
    let kind = order.u32(rest)?;
    if depth > DEPTH_MAX {
        return None;
    }
    let name = match kind {
        1 => "POINT",
        2 => "LINESTRING",
        3 => "POLYGON",
        4 => "MULTIPOINT",
        5 => "MULTILINESTRING",
        6 => "MULTIPOLYGON",
        7 => "GEOMETRYCOLLECTION",
        _ => return None,
    };
    if is_named {
        out.extend_from_slice(name.as_bytes());
    }
    match kind {
        1 => {
            out.push(b'(');
            point(out, rest, order)?;
            out.push(b')');
            Some(())
        }
        2 => listed(out, rest, order, |out, rest| point(out, rest, order)),
        3 => listed(out, rest, order, |out, rest| listed(out, rest, order, |out, rest| point(out, rest, order))),
        _ => listed(out, rest, order, |out, rest| shape(out, rest, kind == 7, depth + 1)),
    }
}

fn listed(out: &mut Vec<u8>, rest: &mut &[u8], order: Order, mut item: impl FnMut(&mut Vec<u8>, &mut &[u8]) -> Option<()>) -> Option<()> {
    let count = order.u32(rest)?;
    if count == 0 {
        out.extend_from_slice(b" EMPTY");
        return Some(());
    }
    out.push(b'(');
    for place in 0..count {
        if place > 0 {
            out.push(b',');
        }
        item(out, rest)?;
    }
    out.push(b')');
    Some(())
}

fn point(out: &mut Vec<u8>, rest: &mut &[u8], order: Order) -> Option<()> {
    let (x, y) = (order.f64(rest)?, order.f64(rest)?);
    _ = write!(out, "{x} {y}");
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[track_caller]
    fn check(bytes: &str, expected: Option<&str>) {
        let mut out = Vec::new();
        let written = write(&mut out, &hex(bytes)).map(|()| String::from_utf8(out).unwrap());
        assert_eq!(written.as_deref(), expected);
    }

    #[test]
    fn a_geometry_is_its_srid_and_well_known_text() {
        let point = "0101000000000000000000f03f9a9999999999b93f";
        check(&format!("00000000{point}"), Some("POINT(1 0.1)"));
        check(&format!("e6100000{point}"), Some("SRID=4326;POINT(1 0.1)"));
        check(&format!("00000000010400000001000000{point}"), Some("MULTIPOINT((1 0.1))"));
        check(&format!("00000000010700000001000000{point}"), Some("GEOMETRYCOLLECTION(POINT(1 0.1))"));
        check("00000000010700000000000000", Some("GEOMETRYCOLLECTION EMPTY"));
        check("000000000000000001 3ff0000000000000 3ff0000000000000".replace(' ', "").as_str(), Some("POINT(1 1)"));
        let line = "01020000000200000000000000000000000000000000000000000000000000f03f000000000000f03f";
        check(&format!("00000000{line}"), Some("LINESTRING(0 0,1 1)"));
    }

    #[test]
    fn what_is_no_geometry_is_told() {
        for bytes in ["", "00000000", "0000000001", "000000000109000000", "00000000010100000000", "00000000010200000002000000"] {
            check(bytes, None);
        }
        check("000000000101000000000000000000f03f9a9999999999b93fff", None);
    }
}
