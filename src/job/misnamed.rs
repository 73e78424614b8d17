//! Keys that don't exist where they stand: what was meant by them.

use super::keys::{self, Level};

/// Names of other tools, each with those of ours that it may mean, by level.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("address", &["host"]),
    ("db", &["database"]),
    ("dbname", &["database"]),
    ("dsn", &["connection_string"]),
    ("email", &["notification_emails"]),
    ("emails", &["notification_emails"]),
    ("endpoint", &["path", "url"]),
    ("file", &["path"]),
    ("file_path", &["path"]),
    ("filename", &["path"]),
    ("hostname", &["host"]),
    ("kind", &["type"]),
    ("login", &["user", "username"]),
    ("pass", &["password"]),
    ("passwd", &["password"]),
    ("pwd", &["password"]),
    ("query", &["custom_sql"]),
    ("recipients", &["notification_emails"]),
    ("retries", &["max_retries"]),
    ("server", &["host", "url"]),
    ("sql", &["custom_sql"]),
    ("table_name", &["table"]),
    ("timeout", &["timeout_minutes", "timeout_seconds"]),
    ("tz", &["timezone"]),
    ("uid", &["user"]),
    ("user", &["username"]),
    ("username", &["user"]),
    ("webhook", &["webhooks"]),
];

/// Says where a key belongs that is right but stands in the wrong map, or how it is called here.
pub fn meant(key: &str, level: &'static Level) -> Option<String> {
    if key == "data_source_ids" && level.name == keys::JOB.name {
        return Some("write data_sources: [{source: ID}]; `etlsched create --from` does it for you".to_owned());
    }
    if matches!(key, "id" | "status" | "last_run" | "next_run" | "created_at" | "updated_at") && level.name == keys::JOB.name {
        return Some("remove it: what the machine writes is never in the file".to_owned());
    }
    if matches!(key, "host" | "port") && level.name == keys::SMTP.name {
        return Some("write url: smtp://HOST:PORT, or smtps://HOST:PORT".to_owned());
    }
    in_another_map(key, level).or_else(|| of_the_job(key, level)).or_else(|| by_another_name(key, level))
}

fn in_another_map(key: &str, level: &'static Level) -> Option<String> {
    [&keys::ETL_CONFIG, &keys::EXPECT, &keys::COLUMNS]
        .into_iter()
        .find(|other| other.name != level.name && other.key(key).is_some())
        .filter(|_| matches!(level.name, "a job" | "a data source"))
        .map(|other| format!("it belongs under {}", other.name))
}

fn of_the_job(key: &str, level: &'static Level) -> Option<String> {
    let is_its_own = level.name == keys::JOB.name || level.name == keys::CONNECTION.name;
    if is_its_own || keys::JOB.key(key).is_none() {
        return None;
    }
    Some(if level.name == keys::WORKSPACE.name { "for all jobs, put it under defaults" } else { "it belongs to the job" }.to_owned())
}

fn by_another_name(key: &str, level: &'static Level) -> Option<String> {
    let key = key.to_lowercase();
    let (_, ours) = SYNONYMS.iter().find(|(theirs, _)| *theirs == key)?;
    ours.iter().find(|ours| level.key(ours).is_some()).map(|ours| format!("did you mean {ours}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_another_tool_leads_to_ours() {
        let cases = [
            ("username", &keys::CONNECTION, "did you mean user?"),
            ("dbname", &keys::CONNECTION, "did you mean database?"),
            ("Server", &keys::CONNECTION, "did you mean host?"),
            ("user", &keys::SMTP, "did you mean username?"),
            ("port", &keys::SMTP, "write url: smtp://HOST:PORT, or smtps://HOST:PORT"),
            ("query", &keys::SOURCE, "did you mean custom_sql?"),
            ("tz", &keys::JOB, "did you mean timezone?"),
        ];
        for (key, level, hint) in cases {
            assert_eq!(meant(key, level).as_deref(), Some(hint), "{key} in {}", level.name);
        }
        assert_eq!(meant("colour", &keys::JOB), None);
    }

    #[test]
    fn every_name_that_is_suggested_is_a_key_somewhere() {
        let levels = [&keys::JOB, &keys::SOURCE, &keys::CONNECTION, &keys::SMTP, &keys::ETL_CONFIG];
        for (theirs, ours) in SYNONYMS {
            for name in *ours {
                assert!(levels.iter().any(|level| level.key(name).is_some()), "{theirs}: {name} is no key");
            }
        }
    }
}
