//! Text that fills its column, of characters of two, three and four bytes.

use super::*;

/// How wide the widest short column is.
const WIDTH_MAX: usize = 64;

/// Characters and their units of UTF-16, of which a column counts.
const SIGNS: [(&str, usize); 3] = [("é", 1), ("☃", 1), ("𝄞", 2)];

fn full(sign: (&str, usize), width: usize) -> String {
    format!("{}{}", sign.0.repeat(width / sign.1), "x".repeat(width % sign.1))
}

#[test]
fn every_width_holds_its_characters() {
    let columns: Vec<String> = (1..=WIDTH_MAX).map(|width| format!("n{width} NVARCHAR({width}), v{width} VARCHAR({width})")).collect();
    let mut setup = format!("CREATE TABLE dbo.t (id INT, {});", columns.join(", "));
    for (id, sign) in SIGNS.into_iter().enumerate() {
        // Texts of one byte a character are windows-1252.
        let values: Vec<String> = (1..=WIDTH_MAX).map(|width| format!("N'{}', '{}'", full(sign, width), "€".repeat(width))).collect();
        setup += &format!("INSERT INTO dbo.t VALUES ({id}, {});", values.join(", "));
    }
    let server = sqlserver(&setup);
    let etl = of_table(&server, "");
    run(&etl).exits(0);
    let warehouse = etl.warehouse();
    for width in 1..=WIDTH_MAX {
        let expected: Vec<String> = SIGNS.iter().map(|sign| format!("{}|{}", full(*sign, width), "€".repeat(width))).collect();
        assert_eq!(warehouse.rows(&format!("SELECT n{width}, v{width} FROM t ORDER BY id")), expected, "{width}");
    }
}

#[test]
fn texts_without_a_limit_arrive_whole() {
    let setup = |sign: &str, count: usize| format!("'{}'", sign.repeat(count));
    let cases = [
        ("é", 1_100_000),
        ("☃", 600_000),
        ("𝄞", 300_000),
        ("x☃𝄞é", 131_072),
        ("☃", 2047),
        ("☃", 2048),
        ("𝄞", 1023),
        ("𝄞", 1024),
        ("x", 4095),
    ];
    let mut statements = "CREATE TABLE dbo.t (id INT, v NVARCHAR(MAX), b VARBINARY(MAX), x XML);".to_owned();
    for (id, (sign, count)) in cases.into_iter().enumerate() {
        let bytes = "00ff".repeat(count);
        statements +=
            &format!("INSERT INTO dbo.t VALUES ({id}, N{}, 0x{bytes}, N'<a>{}</a>');", setup(sign, count), sign.repeat(count % 5000));
    }
    let server = sqlserver(&statements);
    let etl = of_table(&server, "");
    run(&etl).exits(0);
    let warehouse = etl.warehouse();
    for (id, (sign, count)) in cases.into_iter().enumerate() {
        assert!(warehouse.value(&format!("SELECT v FROM t WHERE id = {id}")) == sign.repeat(count), "{sign} {count} times");
        assert_eq!(warehouse.value(&format!("SELECT length(b) FROM t WHERE id = {id}")), (count * 2).to_string(), "{count} pairs of bytes");
        let ends = format!("SELECT hex(substr(b, 1, 2)) || hex(substr(b, -2)) FROM t WHERE id = {id}");
        assert_eq!(warehouse.value(&ends), "00FF00FF");
        assert_eq!(warehouse.value(&format!("SELECT x FROM t WHERE id = {id}")), format!("<a>{}</a>", sign.repeat(count % 5000)));
    }
}
