//! All tests of the program as a whole, in one binary.
//!
//! | module | holds |
//! | --- | --- |
//! | `etl` | the builder: a workspace in a temporary folder, the real program in a clean environment, whole output compared |
//! | `layers` | src/ keeps to the map in src/lib.rs: who may import whom, who reads the clock, who prints |
//! | `docs` | man/, README.md and the job files that it shows are true of this build |
//! | `browser` | Debian's Chromium by its DevTools protocol: real keys, media, pictures |
//! | `hints` | what newcomers type first and get wrong: one error with what to type instead |
//! | `words` | what commands say where nothing is done, or what was typed leads nowhere |
//! | `widths` | what is printed at a terminal of 80 and 200 columns, with the longest names |
//! | `report_page` | the report's page by keyboard, in light and dark, on paper |
//! | `doctor` | what `doctor` says of sound installations and of planted faults, from here and as cron starts jobs |
//! | `keys` | README.md's tables of keys are those of this build |
//! | `parity` | the system replaced: its documents become jobs, its JSON keeps its shapes, README's table from it to here works row by row |
//! | `session` | `examples/session.txt` is what a session prints |
//! | `flights` | the sample job from end to end: rows, types, counts, logs, the second delivery |
//! | `control` | what operators do around runs: cursors, reset, overlap, stopping, permissions |
//! | `prints` | what commands print: no secrets, errors as one JSON object, every listing as CSV |
//! | `logging` | `logs` as scripts read it and as it is followed; `--log-file`; what a scheduler's mail says of a failure |
//! | `stats` | what runs amount to, by job and by source |
//! | `faults` | a worker that dies, a full disk, stores that are taken away: clean failures, and the next run is good |
//! | `files` | what the warehouse keeps of loaded files, and which of them are read again |
//! | `tables` | tables that were there before a load: their rows, columns and rules |
//! | `hostile` | files, names and definitions that mean harm, or merely are as files are |
//! | `disk` | many writers of one warehouse; a full disk; a file that can't be written |
//! | `exports` | entries for cron, systemd, Windows, Kubernetes and launchd: printed, written, refused; systemd reads its own |
//! | `plan` | the load to come, which jobs run at once, a stagger |
//! | `proofs` | entries as they are emitted start every slot once, by simulation; planted bad ones are convicted |
//! | `install` | entries in crontabs, systemd and the Task Scheduler: strangers' bytes stay, whatever fails; Debian's own cron over both changes of the clocks |
//! | `postgres_destination` | PostgreSQL as destination: the sample, merges, readers, locks, a restarted server; read back by psql |
//! | `postgres_faults` | the same when workers are killed in their commit, the server crashes, its disk is full, it is a standby |
//! | `postgres_tables` | tables that people made in PostgreSQL: a full load leaves all of them as they were, by pg_dump |
//! | `lease` | who may publish: a stopped supervisor, a hundred runs at once, clocks that jump; full disks, deaf workers, deleted jobs |
//! | `hangs` | sources and stores that hang in five ways, each run ended within ten seconds of its limit |
//! | `mysql_destination` | MariaDB as destination: the sample, merges, readers, locks, a lax server over TLS, a killed one; read back by its client |
//! | `letters` | in which order letters of one job go, and what those of unusual runs say |
//! | `retries` | which real errors pass and which stay, what is tried again, `--retry-failed` |
//! | `servers` | real database servers, started once on free ports in temporary folders, stopped at the end; a web server that does what a test tells it |
//! | `postgres_source` | PostgreSQL as a source: every type and encoding, several tables, parts of one snapshot, late commits, standbys, poolers, TLS, servers that die, errors |
//! | `poolers` | PgBouncer in front of sources and destinations: by transactions, by sessions, with hardly a connection |
//! | `concurrent` | writers at work during many incremental runs, compared at the end; planted faults are convicted |
//! | `calls` | a kill, an error or a power cut at single calls of the operating system: at each role, each call, each error |
//! | `cuts` | connections to PostgreSQL that are cut at random bytes, at both ends |
//! | `windows` | backfills, the cursor beside them, cursor columns of every type that has an order |
//! | `mysql_source` | MariaDB as a source: every type into SQLite and PostgreSQL, late commits, writers beside it, TLS, servers that die, errors |
//! | `sqlserver` | SQL Server as a source, through FreeTDS's driver and a counterpart of the protocol: types, text at every edge of a buffer, cursors, faults, secrets |
//! | `oracle` | Oracle as a source, through a counterpart of its driver: types, statements as they are said, errors |
//! | `odbc_faults` | drivers that answer what they may not, servers that fall silent amid rows |
//! | `odbc_source` | databases behind ODBC drivers: loads, drivers that are missing, cut connections, servers that die or never answer |
//! | `pairs` | every source with every destination: types, merges, windows, keys, schema changes, what can't be held; read back by the engines' own clients |
//! | `api_source` | REST APIs as GitHub, Shopify, Stripe, Salesforce, OData and GraphQL have them, served locally, into SQLite; cursors, windows, cut answers |
//! | `notify` | mails and webhooks as servers take them: TLS, logins, hostile servers, hostile names; `notify test` |
//! | `notify_runs` | who is told of what, and when: once, again, of recoveries, of what nobody started; servers that are away, hang, refuse; killed and many senders |
//! | `notify_looks` | what the look at all jobs tells: a host that was off, files with errors; one message for many jobs, once for many lookers |
//! | `notify_settings` | errors in etlsched.yaml itself: what of it is good says whom to tell and how |
//! | `shared_state` | one state store in PostgreSQL: several hosts, servers that go away, poolers, a store that moves in |
//! | `store_server` | a state store on a server: how seldom the gate asks it, its full disk |
//! | `api_runs` | REST APIs: NDJSON, CSV, children of parents, progress while pages come, how soon a cancelled wait ends |
//! | `report` | the summary and the page of `report`: in a headless browser, with hostile names, without scripts, with 100,000 runs |
//! | `slots` | due instants against answers worked out without this program |
//! | `gate` | `run --scheduled` and `--due`: each slot once, whatever calls them, whenever, however often |
//! | `health` | `check`, `metrics`, `status --watch`: late, past the deadline, in error, stuck, broken, and none of it |
//! | `owners` | whose jobs and connections these are, as several users of the system; the audit trail |
//! | `modes` | who may read and write the private folder, whatever the umask; a group that shares it; files that others can change |
//! | `secrets` | a marked secret through every output, file, store and process |
//! | `web` | files and APIs of web servers: proxies, redirects to where nothing may be fetched from, pages without end, cuts, bombs, who learns a token |
//! | `kills` | `kill -9` at random moments, judged; loaders with a planted fault that the judge must convict |

#[cfg(unix)]
mod api_runs;
#[cfg(unix)]
mod api_source;
#[cfg(target_os = "linux")]
mod browser;
#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod concurrent;
mod control;
#[cfg(target_os = "linux")]
mod cuts;
#[cfg(target_os = "linux")]
mod disk;
mod docs;
#[cfg(target_os = "linux")]
mod doctor;
mod etl;
mod exports;
#[cfg(target_os = "linux")]
mod faults;
mod files;
mod flights;
mod gate;
#[cfg(target_os = "linux")]
mod hangs;
#[cfg(target_os = "linux")]
mod health;
mod hints;
mod hostile;
#[cfg(target_os = "linux")]
mod install;
mod keys;
#[cfg(target_os = "linux")]
mod kills;
mod layers;
#[cfg(target_os = "linux")]
mod lease;
mod letters;
mod logging;
#[cfg(unix)]
mod modes;
#[cfg(unix)]
mod mysql_destination;
#[cfg(target_os = "linux")]
mod mysql_source;
#[cfg(unix)]
mod notify;
#[cfg(unix)]
mod notify_looks;
#[cfg(unix)]
mod notify_runs;
mod notify_settings;
#[cfg(target_os = "linux")]
mod odbc_faults;
#[cfg(target_os = "linux")]
mod odbc_source;
#[cfg(target_os = "linux")]
mod oracle;
#[cfg(unix)]
mod owners;
#[cfg(unix)]
mod pairs;
mod parity;
mod plan;
#[cfg(target_os = "linux")]
mod poolers;
#[cfg(unix)]
mod postgres_destination;
#[cfg(target_os = "linux")]
mod postgres_faults;
#[cfg(target_os = "linux")]
mod postgres_source;
#[cfg(unix)]
mod postgres_tables;
mod prints;
mod proofs;
mod report;
#[cfg(target_os = "linux")]
mod report_page;
#[cfg(target_os = "linux")]
mod retries;
#[cfg(unix)]
mod secrets;
#[cfg(unix)]
mod servers;
#[cfg(unix)]
mod session;
#[cfg(target_os = "linux")]
mod shared_state;
mod slots;
#[cfg(target_os = "linux")]
mod sqlserver;
mod stats;
#[cfg(target_os = "linux")]
mod store_server;
mod tables;
#[cfg(unix)]
mod web;
#[cfg(target_os = "linux")]
mod widths;
#[cfg(target_os = "linux")]
mod windows;
#[cfg(unix)]
mod words;
