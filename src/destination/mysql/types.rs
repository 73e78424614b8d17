//! How columns are declared in MySQL and MariaDB, and how names and values are written and compared.

use crate::batch::ColumnType;
pub(super) use crate::connect::mysql::quoted;

/// The most characters of a name (MySQL 8.0, "9.2.1 Identifier Length Limits").
pub(super) const NAME_CHARACTERS_MAX: usize = 64;

/// The most bytes of an index's key (InnoDB, ROW_FORMAT=DYNAMIC, pages of 16 KiB).
const KEY_BYTES_MAX: usize = 3072;

/// The most digits behind the point that both engines hold (MariaDB: 38).
const SCALE_MAX: i8 = 30;

/// The most digits of a decimal.
const DIGITS_MAX: u8 = 65;

/// What differs between the two engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    MariaDb,
    Mysql,
}

impl Dialect {
    /// The collation that keeps all texts apart that differ in a byte: 'a', 'A' and 'a '.
    pub(super) const fn collation(self) -> &'static str {
        match self {
            Self::MariaDb => "utf8mb4_nopad_bin",
            Self::Mysql => "utf8mb4_0900_bin",
        }
    }

    /// Returns the declaration of a column type, spelled as [`super::table::LiveColumn`] spells it. Nanoseconds have no type of their own.
    pub(super) fn declaration(self, column_type: ColumnType) -> String {
        use ColumnType::*;
        let name = match column_type {
            Boolean => "tinyint(1)",
            Int16 => "smallint",
            Int32 => "int",
            Int64 => "bigint",
            UInt64 => "bigint unsigned",
            Float32 => "float",
            Float64 => "double",
            Decimal { precision, scale } if precision <= DIGITS_MAX && scale <= SCALE_MAX => {
                return format!("decimal({precision},{scale})");
            }
            Text | TimeNanos | TimestampNanos | TimestampNanosUtc | Decimal { .. } => {
                return format!("longtext COLLATE {}", self.collation());
            }
            Binary => "longblob",
            Date => "date",
            Time => "time(6)",
            Timestamp | TimestampUtc => "datetime(6)",
            Json => "json",
            Uuid => "char(36) COLLATE ascii_bin",
        };
        name.to_owned()
    }

    /// Whether values of a type are kept as text.
    pub(super) fn is_text(self, column_type: ColumnType) -> bool {
        self.declaration(column_type).starts_with("longtext")
    }

    /// Returns the type whose values a column of a declaration holds, all of them (texts of a key: those of its length) and no others.
    pub(super) fn of_declaration(self, declared: &str) -> Option<ColumnType> {
        use ColumnType::*;
        let known = [Boolean, Int16, Int32, Int64, UInt64, Float32, Float64, Text, Binary, Date, Time, Timestamp, Json, Uuid];
        if let Some(found) = known.into_iter().find(|known| self.declaration(*known) == declared) {
            return Some(found);
        }
        if declared.starts_with("varchar(") && declared.ends_with(&format!(" COLLATE {}", self.collation())) {
            return Some(Text);
        }
        if declared.starts_with("varbinary(") {
            return Some(Binary);
        }
        let decimal = declared.starts_with("decimal(").then(|| ColumnType::parse(declared).ok()).flatten();
        decimal.filter(|decimal| self.declaration(*decimal) == declared)
    }

    /// Whether a column of a declaration that is no type of ours keeps values of a type as they are, and refuses those that it can't hold.
    pub(super) fn keeps(self, declared: &str, new: ColumnType) -> bool {
        match declared.split(['(', ' ']).next().unwrap_or_default() {
            // Characters that the column's set lacks, and longer values, fail the load: a strict INSERT doesn't bend them.
            "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => self.is_text(new),
            "tinyblob" | "blob" | "mediumblob" => new == ColumnType::Binary,
            "uuid" => new == ColumnType::Uuid,
            _ => declared == "datetime(6)" && new == ColumnType::TimestampUtc,
        }
    }

    /// Returns a column for a comparison that finds every difference: texts by their bytes.
    pub(super) fn comparable(self, column: &str, declared: &str) -> String {
        let own = self.collation();
        match declared.split_once(" COLLATE ") {
            Some((_, collation)) if collation == own || declared.starts_with("char(36)") => column.to_owned(),
            Some((_, collation)) if collation.starts_with("utf8mb4") => format!("{column} COLLATE {own}"),
            Some(_) => format!("CONVERT({column} USING utf8mb4) COLLATE {own}"),
            None if declared == "json" && self == Self::MariaDb => format!("{column} COLLATE {own}"),
            None => column.to_owned(),
        }
    }

    /// Returns the condition under which a column of a table has the staged text or value, in a form for which the table's index serves.
    pub(super) fn same(self, there: &str, declared: &str, staged: &str) -> String {
        match declared.split_once(" COLLATE ") {
            // The index finds those that are equal by the column's own rules; the bytes decide.
            Some((_, collation)) if collation != self.collation() && collation.starts_with("utf8mb4") => {
                format!("{there} = {staged} COLLATE {collation} AND {} = {staged}", self.comparable(there, declared))
            }
            _ => format!("{} = {staged}", self.comparable(there, declared)),
        }
    }

    /// Returns a value of one type as the value of a wider one, where it is compared with it.
    pub(super) fn as_wider(self, column: &str, from: ColumnType, to: ColumnType) -> String {
        let text = |sql: String| format!("CONVERT({sql} USING utf8mb4) COLLATE {}", self.collation());
        match self.rewritten(column, from, to) {
            Some(sql) => text(sql),
            None if self.is_text(to) && !self.is_text(from) => text(format!("CAST({column} AS CHAR)")),
            None => column.to_owned(),
        }
    }

    /// Returns the SQL of a value as text in the spelling of [`crate::batch::text`], where changing the column's type would spell it otherwise.
    pub(super) fn rewritten(self, column: &str, from: ColumnType, to: ColumnType) -> Option<String> {
        use ColumnType::*;
        if !self.is_text(to) {
            return None;
        }
        let zeros = if matches!(to, TimeNanos | TimestampNanos | TimestampNanosUtc) { "000" } else { "" };
        let fraction = format!("IF(MICROSECOND({column}) = 0, '', CONCAT('.', LPAD(MICROSECOND({column}), 6, '0'), '{zeros}'))");
        let stamp = format!("DATE_FORMAT({column}, '%Y-%m-%dT%H:%i:%s')");
        Some(match (from, to) {
            (Boolean, _) => format!("CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE CAST({column} AS CHAR) END"),
            (Float32 | Float64, _) => float_text(column),
            (Date, TimestampNanos) => format!("CONCAT(DATE_FORMAT({column}, '%Y-%m-%d'), 'T00:00:00')"),
            (Date, _) => format!("DATE_FORMAT({column}, '%Y-%m-%d')"),
            (Time, _) => format!("CONCAT(TIME_FORMAT({column}, '%H:%i:%s'), {fraction})"),
            (Timestamp, _) => format!("CONCAT({stamp}, {fraction})"),
            (TimestampUtc, _) => format!("CONCAT({stamp}, {fraction}, 'Z')"),
            _ => return None,
        })
    }
}

/// Returns the SQL of a number's text: decimals from 1e-4 to 1e16, else with an exponent; the server has other bounds. A single is
/// written as the double that it is: the server has no shortest text for it.
fn float_text(column: &str) -> String {
    let size = format!("ABS(CAST({column} AS DOUBLE))");
    let text = format!("CAST({size} AS CHAR)");
    let decimal = format!("TRIM(TRAILING '0' FROM CAST({text} AS DECIMAL(65,30)))");
    let scientific = |digits: &str, exponent: &str| {
        format!("LEFT({digits}, 1), IF(LENGTH({digits}) > 1, '.', ''), SUBSTR({digits}, 2), 'e', {exponent}")
    };
    let large = scientific(&format!("TRIM(TRAILING '0' FROM {text})"), &format!("LENGTH({text}) - 1"));
    let behind = format!("SUBSTR({text}, 3)");
    let digits = format!("TRIM(LEADING '0' FROM {behind})");
    let small = scientific(&digits, &format!("LENGTH({digits}) - LENGTH({behind}) - 1"));
    format!(
        "CONCAT(IF({column} < 0, '-', ''), CASE WHEN {size} = 0 THEN '0.0' \
         WHEN {size} >= 1e-4 AND {size} < 1e16 THEN CONCAT({decimal}, IF({decimal} LIKE '%.', '0', '')) \
         WHEN LOCATE('e', {text}) > 0 THEN {text} WHEN {size} >= 1 THEN CONCAT({large}) ELSE CONCAT({small}) END)"
    )
}

/// Returns a text as SQL. Our sessions have no NO_BACKSLASH_ESCAPES.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Returns names as SQL, parted by commas, each behind `prefix`.
pub(super) fn listed<'a>(prefix: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("{prefix}{}", quoted(name))).collect::<Vec<_>>().join(", ")
}

/// Returns what sorts as the values of a type do.
pub(super) fn sortable(column: &str, column_type: ColumnType) -> String {
    match column_type {
        ColumnType::TimestampNanos | ColumnType::TimestampNanosUtc | ColumnType::TimeNanos => format!("TRIM(TRAILING 'Z' FROM {column})"),
        _ => column.to_owned(),
    }
}

/// Returns how the texts and bytes of a key are declared, so that an index takes all of it: characters, bytes.
pub(super) fn key_lengths(types: &[ColumnType], dialect: Dialect) -> (usize, usize) {
    let is_text = |column_type: &ColumnType| dialect.is_text(*column_type) || *column_type == ColumnType::Json;
    let is_long = |column_type: &ColumnType| is_text(column_type) || *column_type == ColumnType::Binary;
    let long = types.iter().filter(|column_type| is_long(column_type)).count().max(1);
    // No other type takes more: 65 digits are 30 bytes, a UUID is 36.
    let others = types.iter().filter(|column_type| !is_long(column_type)).count() * 36;
    let bytes = KEY_BYTES_MAX.saturating_sub(others) / long;
    (bytes / 4, bytes)
}

/// Returns the length of a `varchar(n)` or `varbinary(n)`.
pub(super) fn length_of(declared: &str) -> Option<usize> {
    let rest = declared.strip_prefix("varchar(").or_else(|| declared.strip_prefix("varbinary("))?;
    rest.split(')').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read_back() {
        use ColumnType::*;
        for dialect in [Dialect::MariaDb, Dialect::Mysql] {
            for known in [Boolean, Int16, Int32, Int64, UInt64, Float32, Float64, Text, Binary, Date, Time, Timestamp, Json, Uuid] {
                assert_eq!(dialect.of_declaration(&dialect.declaration(known)), Some(known));
            }
            let decimal = |precision, scale| Decimal { precision, scale };
            assert_eq!(dialect.of_declaration("decimal(65,30)"), Some(decimal(65, 30)));
            assert_eq!(dialect.of_declaration("decimal(5,2) unsigned"), None);
            assert!(dialect.is_text(decimal(66, 0)) && dialect.is_text(decimal(40, 31)) && !dialect.is_text(decimal(65, 30)));
            assert!(dialect.keeps("varchar(5) COLLATE latin1_swedish_ci", Text) && !dialect.keeps("char(5) COLLATE utf8mb4_bin", Text));
            assert!(!dialect.keeps("datetime", Timestamp) && !dialect.keeps("binary(3)", Binary));
        }
        assert_eq!(Dialect::MariaDb.of_declaration("varchar(768) COLLATE utf8mb4_nopad_bin"), Some(Text));
        assert_eq!(Dialect::MariaDb.of_declaration("varchar(768) COLLATE utf8mb4_bin"), None);
    }

    #[test]
    fn a_key_fits_an_index() {
        use ColumnType::*;
        assert_eq!(key_lengths(&[Text], Dialect::MariaDb), (768, 3072));
        assert_eq!(key_lengths(&[Text, Text], Dialect::MariaDb), (384, 1536));
        assert_eq!(key_lengths(&[Text, Int64, Text], Dialect::Mysql), (379, 1518));
        assert_eq!(length_of("varchar(379) COLLATE x"), Some(379));
        assert_eq!(length_of("longtext"), None);
    }

    #[test]
    fn names_and_texts_are_never_sql() {
        assert_eq!(listed("s.", ["a`", "B"]), "s.`a```, s.`B`");
        assert_eq!(literal("it's \\ "), "'it''s \\\\ '");
    }
}
