//! Connection strings ("SQLDriverConnect Function", Microsoft's ODBC reference): `KEYWORD={value};`. A value stands in braces, in which `}` is
//! doubled, so that nothing in it ends it. Pure.

use super::drivers::Family;
use crate::plan::odbc::{Encrypt, Engine, OdbcConnection};

/// Makes the connection string; `driver` is what stands for DRIVER, where one is needed.
///
/// # Errors
/// What can't be said to this driver: a lower-case fragment and a hint.
pub(super) fn connection_string(plan: &OdbcConnection, driver: Option<&str>, family: Family) -> Result<String, (String, &'static str)> {
    if let Some(whole) = &plan.connection_string {
        return Ok(whole.expose().to_owned());
    }
    let mut pairs: Vec<(&str, String)> = Vec::new();
    match (&plan.dsn, driver) {
        (Some(dsn), _) => pairs.push(("DSN", dsn.clone())),
        (None, Some(driver)) => pairs.push(("DRIVER", driver.to_owned())),
        (None, None) => {}
    }
    server(plan, family, &mut pairs);
    login(plan, &mut pairs);
    if plan.engine == Engine::SqlServer {
        // What a data source says is not overruled by defaults of ours.
        if plan.dsn.is_none() || plan.encrypt != Encrypt::default() || plan.is_certificate_trusted {
            encryption(plan, family, &mut pairs);
        }
        if plan.dsn.is_none() {
            // A listener of an availability group may lead us to a copy that is only read; elsewhere it means nothing.
            pairs.push(("ApplicationIntent", "ReadOnly".to_owned()));
        }
    }
    let own = plan.options.iter().map(|(keyword, value)| (keyword.as_str(), value.clone()));
    let is_said = |keyword: &str| plan.options.iter().any(|(said, _)| said.eq_ignore_ascii_case(keyword));
    let mut pairs: Vec<(&str, String)> = pairs.into_iter().filter(|(keyword, _)| !is_said(keyword)).chain(own).collect();
    let settings = if plan.dsn.is_some() { &[][..] } else { family.settings() };
    pairs.extend(settings.iter().filter(|(keyword, _)| !is_said(keyword)).map(|(keyword, value)| (*keyword, (*value).to_owned())));
    let mut text = String::new();
    for (keyword, value) in pairs {
        if value.contains('\0') {
            return Err((format!("a NUL character stands in {keyword}"), "remove it"));
        }
        text += &format!("{keyword}={};", written(keyword, &value, family)?);
    }
    Ok(text)
}

/// Writes a value so that nothing in it ends it.
fn written(keyword: &str, value: &str, family: Family) -> Result<String, (String, &'static str)> {
    let is_plain = !value.is_empty() && value.chars().all(|sign| sign.is_ascii_alphanumeric() || ".-_/:".contains(sign));
    // FreeTDS and others take braces around anything but DRIVER for part of the value, where nothing makes them needed.
    if is_plain && !(keyword == "DRIVER" && family != Family::Other) {
        return Ok(value.to_owned());
    }
    if family == Family::FreeTds && keyword != "DRIVER" && value.contains('}') {
        // FreeTDS 1.3.17 takes `}}` for two braces and ends a value at `};`; without braces around it ends at `;` alone.
        let is_blank = |sign: Option<char>| sign.is_some_and(char::is_whitespace);
        if value.contains(';') || value.starts_with('{') || is_blank(value.chars().next()) || is_blank(value.chars().next_back()) {
            let message = format!(
                "{keyword} holds signs that FreeTDS can't be told: a closing brace beside a semicolon, or an opening one at its start"
            );
            return Err((message, "choose another value, or Microsoft's driver"));
        }
        return Ok(value.to_owned());
    }
    Ok(format!("{{{}}}", value.replace('}', "}}")))
}

fn server(plan: &OdbcConnection, family: Family, pairs: &mut Vec<(&'static str, String)>) {
    let host = || plan.host.clone().unwrap_or_default();
    let port = |default: u16| plan.port.unwrap_or(default);
    let database = plan.database.clone();
    let is_named = host().contains('\\');
    match (plan.engine, family) {
        (Engine::Oracle, _) => {
            if plan.host.is_some() {
                let host = if host().contains(':') { format!("[{}]", host()) } else { host() };
                pairs.push(("DBQ", format!("//{host}:{}/{}", port(1521), database.unwrap_or_default())));
            }
            return;
        }
        (Engine::SqlServer, Family::Microsoft) => {
            if plan.host.is_some() {
                // An instance by name is asked for its port, unless one is given.
                let port = plan.port.or((!is_named).then_some(1433)).map_or_else(String::new, |port| format!(",{port}"));
                pairs.push(("SERVER", format!("tcp:{}{port}", host())));
            }
        }
        _ => {
            let default = (plan.engine == Engine::SqlServer && !is_named).then_some(1433);
            pairs.extend(plan.host.clone().map(|host| ("SERVER", host)));
            if plan.host.is_some() {
                pairs.extend(plan.port.or(default).map(|port| ("PORT", port.to_string())));
            }
        }
    }
    pairs.extend(database.map(|database| ("DATABASE", database)));
}

fn login(plan: &OdbcConnection, pairs: &mut Vec<(&'static str, String)>) {
    pairs.extend(plan.user.clone().map(|user| ("UID", user)));
    pairs.extend(plan.password.as_ref().map(|password| ("PWD", password.expose().to_owned())));
}

fn encryption(plan: &OdbcConnection, family: Family, pairs: &mut Vec<(&'static str, String)>) {
    match family {
        Family::FreeTds => {
            let word = match plan.encrypt {
                Encrypt::Optional => "request",
                Encrypt::Mandatory => "require",
                Encrypt::Strict => "strict",
            };
            pairs.push(("Encryption", word.to_owned()));
        }
        _ => {
            // The words that every version of Microsoft's driver knows.
            let word = match plan.encrypt {
                Encrypt::Optional => "no",
                Encrypt::Mandatory => "yes",
                Encrypt::Strict => "strict",
            };
            pairs.push(("Encrypt", word.to_owned()));
            pairs.push(("TrustServerCertificate", if plan.is_certificate_trusted { "yes" } else { "no" }.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn plan(engine: Engine) -> OdbcConnection {
        OdbcConnection {
            engine,
            driver: None,
            dsn: None,
            connection_string: None,
            host: Some("db1".to_owned()),
            port: None,
            database: Some("erp".to_owned()),
            user: Some("etl".to_owned()),
            password: Some(Secret::new("a};PWD={x")),
            encrypt: Encrypt::default(),
            is_certificate_trusted: false,
            options: Vec::new(),
            connect_timeout_seconds: 15,
        }
    }

    #[track_caller]
    fn check(plan: &OdbcConnection, driver: &str, family: Family, expected: &str) {
        assert_eq!(connection_string(plan, Some(driver), family).unwrap(), expected);
    }

    #[test]
    fn a_value_can_t_end_itself() {
        let driver = "ODBC Driver 18 for SQL Server";
        let expected = "DRIVER={ODBC Driver 18 for SQL Server};SERVER={tcp:db1,1433};DATABASE=erp;UID=etl;PWD={a}};PWD={x};\
             Encrypt=yes;TrustServerCertificate=no;ApplicationIntent=ReadOnly;";
        check(&plan(Engine::SqlServer), driver, Family::Microsoft, expected);
        let expected = "DRIVER={/o/libsqora.so};DBQ=//db1:1521/erp;UID=etl;PWD={a}};PWD={x};";
        check(&plan(Engine::Oracle), "/o/libsqora.so", Family::Oracle, expected);
    }

    #[test]
    fn freetds_is_told_what_it_needs_to_keep_text_whole() {
        let plan = |engine| OdbcConnection { password: Some(Secret::new("a;PWD={x")), ..plan(engine) };
        let expected = "DRIVER={FreeTDS};SERVER=db1;PORT=1433;DATABASE=erp;UID=etl;PWD={a;PWD={x};Encryption=require;\
             ApplicationIntent=ReadOnly;TDS_Version=7.4;ClientCharset=UTF-8;";
        check(&plan(Engine::SqlServer), "FreeTDS", Family::FreeTds, expected);
        let options = vec![("tds_version".to_owned(), "7.3".to_owned()), ("Encryption".to_owned(), "off".to_owned())];
        let expected = "DRIVER={FreeTDS};SERVER=db1;PORT=1433;DATABASE=erp;UID=etl;PWD={a;PWD={x};ApplicationIntent=ReadOnly;\
             tds_version=7.3;Encryption=off;ClientCharset=UTF-8;";
        check(&OdbcConnection { options, ..plan(Engine::SqlServer) }, "FreeTDS", Family::FreeTds, expected);
    }

    #[test]
    fn an_instance_by_name_has_no_port_but_its_own() {
        let server = |port: Option<u16>, family: Family| {
            let named = OdbcConnection { host: Some("db1\\ERP".to_owned()), port, password: None, ..plan(Engine::SqlServer) };
            let text = connection_string(&named, Some("d"), family).unwrap();
            text.split(';').filter(|pair| pair.starts_with("SERVER") || pair.starts_with("PORT")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(server(None, Family::Microsoft), ["SERVER={tcp:db1\\ERP}"]);
        assert_eq!(server(Some(5000), Family::Microsoft), ["SERVER={tcp:db1\\ERP,5000}"]);
        assert_eq!(server(None, Family::FreeTds), ["SERVER={db1\\ERP}"]);
    }

    #[test]
    fn a_data_source_keeps_its_own_words_on_encryption() {
        let named = |encrypt| {
            let plan = plan(Engine::SqlServer);
            let named = OdbcConnection { dsn: Some("erp".to_owned()), host: None, database: None, password: None, encrypt, ..plan };
            connection_string(&named, None, Family::Other).unwrap()
        };
        assert_eq!(named(Encrypt::Mandatory), "DSN=erp;UID=etl;");
        assert_eq!(named(Encrypt::Strict), "DSN=erp;UID=etl;Encrypt=strict;TrustServerCertificate=no;");
    }

    #[test]
    fn what_freetds_would_end_early_is_refused() {
        let with = |password: &str| OdbcConnection { password: Some(Secret::new(password)), ..plan(Engine::SqlServer) };
        let told = |password: &str| connection_string(&with(password), Some("FreeTDS"), Family::FreeTds).map_err(|(message, _)| message);
        assert!(told("a}b").is_ok_and(|text| text.contains(";PWD=a}b;")));
        assert!(told("a{b;c").is_ok_and(|text| text.contains(";PWD={a{b;c};")));
        for password in ["a};PWD={x", "{a}b", "a}b;", " a}"] {
            let message = told(password).unwrap_err();
            assert!(message.starts_with("PWD holds signs") && !message.contains(password), "{message}");
        }
    }

    #[test]
    fn a_whole_string_stays_as_it_is_and_a_data_source_is_named() {
        let whole = OdbcConnection { connection_string: Some(Secret::new("DSN=x;PWD=y")), ..plan(Engine::Other) };
        check(&whole, "unused", Family::Other, "DSN=x;PWD=y");
        let named = OdbcConnection { dsn: Some("my dsn".to_owned()), host: None, ..plan(Engine::Other) };
        assert_eq!(connection_string(&named, None, Family::Other).unwrap(), "DSN={my dsn};DATABASE=erp;UID=etl;PWD={a}};PWD={x};");
    }
}
