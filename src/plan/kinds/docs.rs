//! What keys mean that several kinds have: one text each, since README.md and the JSON Schema tell of them in one place.

pub(super) const HOST: &str = "The server: a name or an address; postgresql takes the folder of a unix socket too, mysql its path";
pub(super) const URL: &str = "Server, database and login as one URL: postgresql://user:password@host:port/database, or mysql://...";
pub(super) const SSLMODE: &str = "How TLS is used, in libpq's words; mysql takes MySQL's own too";
pub(super) const SSLROOTCERT: &str =
    "A file of certificates that are trusted: for an API beside those of the system, else in place of them";
pub(super) const SCHEMA: &str = "The schema of the tables that are loaded; of mysql the database";
