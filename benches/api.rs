//! How fast pages of an API are loaded, beside a plain loop that fetches and parses the same pages. Asserts nothing.
//!
//! `cargo bench --bench api` loads 1,000 pages of 1,000 records of about 250 bytes from a server of its own process into SQLite; `-- 100` makes
//! 100 pages. The loop keeps one connection and parses with serde_json: what no loader of whole documents can be faster than.
#![expect(clippy::print_stdout, reason = "a benchmark is there to print")]

mod measure;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use measure::{etlsched, measure, workspace_of};
use rusqlite::Connection;

const PAIRS: usize = 3;
const RECORDS: usize = 1_000;
/// How many digits an id has.
const DIGITS: usize = 10;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match words.first().map(String::as_str) {
        Some("serve") => serve(words[1].parse().expect("a number of pages")),
        Some("fetch") => println!("{}", fetch(&words[1])),
        pages => compare(pages.map_or(1_000, |pages| pages.parse().expect("a number of pages"))),
    }
}

fn compare(pages: usize) {
    let own = std::env::current_exe().expect("this program");
    let mut server = Command::new(&own).args(["serve", &pages.to_string()]).stdout(Stdio::piped()).spawn().expect("the server");
    let mut address = String::new();
    BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut address).expect("its address");
    let address = address.trim();
    println!("{pages} pages of {RECORDS} records, {} bytes a page, {PAIRS} pairs", page(1, pages).len());
    let mut ratios = Vec::new();
    for _ in 0..PAIRS {
        let mut plain = Command::new(&own);
        plain.args(["fetch", address]);
        let plain = measure(plain, true);
        let workspace = workspace_of(
            "data_sources:\n  - {name: orders, connection: shop, endpoint: /orders, records: data, pagination: {next_url: {path: next}}}\n",
        );
        let settings = format!("connections:\n  shop: {{type: api, base_url: 'http://{address}'}}\n");
        std::fs::write(workspace.path().join("etlsched.yaml"), settings).expect("a file");
        let ours = measure(etlsched(&workspace, &["run", "rows"]), true);
        let warehouse = Connection::open(workspace.path().join(".etlsched/warehouse.db")).expect("the warehouse");
        let rows: i64 = warehouse.query_row("SELECT count(DISTINCT id) FROM orders", [], |row| row.get(0)).expect("a count");
        let rate = |wall: Duration| (pages * RECORDS) as f64 / wall.as_secs_f64() / 1000.0;
        let ratio = ours.wall.as_secs_f64() / plain.wall.as_secs_f64();
        println!(
            "  etlsched {:.2} s, {:.0}k records/s, {} MB ({} MB anonymous), {rows} rows; fetch and parse {:.2} s, {:.0}k records/s; ratio {ratio:.2}",
            ours.wall.as_secs_f64(),
            rate(ours.wall),
            ours.resident / 1000,
            ours.anonymous / 1000,
            plain.wall.as_secs_f64(),
            rate(plain.wall),
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("  median ratio {:.2}", ratios[PAIRS / 2]);
    let _ = server.kill();
    let _ = server.wait();
}

/// Returns a page; ids stand where `places` of [`serve`] finds them.
fn page(number: usize, pages: usize) -> String {
    let record = |at: usize| {
        let id = 1_000_000_000 + (number - 1) * RECORDS + at;
        format!(
            r#"{{"id":{id},"name":"customer {at:04} of somewhere","email":"customer{at:04}@example.com","amount":{}.{:02},"is_open":{},"created_at":"2026-01-{:02}T10:{:02}:00Z","address":{{"city":"Springfield","zip":"{:05}","country":"US"}},"note":null,"status":"pending"}}"#,
            at * 7 % 1_000,
            at % 100,
            at.is_multiple_of(3),
            at % 28 + 1,
            at % 60,
            at * 31 % 100_000,
        )
    };
    let records = (0..RECORDS).map(record).collect::<Vec<_>>().join(",");
    let next = if number < pages { format!("\"/orders?page={:06}\"", number + 1) } else { "null".to_owned() };
    format!(r#"{{"data":[{records}],"next":{next}}}"#)
}

/// Answers one request after the other on each connection; pages are made once and get their ids when they are asked for.
fn serve(pages: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("its address"));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        std::thread::spawn(move || answer(stream, pages));
    }
}

fn answer(mut stream: TcpStream, pages: usize) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let model = page(1, 2).into_bytes();
    let places: Vec<usize> = memchr::memmem::find_iter(&model, b"{\"id\":").map(|place| place + 6).collect();
    let records = model.len() - "\"/orders?page=000002\"}".len();
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut body = model.clone();
    loop {
        let number = request(&mut reader)?;
        body.clear();
        body.extend_from_slice(&model[..records]);
        for (at, place) in places.iter().enumerate() {
            let id = 1_000_000_000 + (number - 1) * RECORDS + at;
            body[*place..*place + DIGITS].copy_from_slice(id.to_string().as_bytes());
        }
        let next = if number < pages { format!("\"/orders?page={:06}\"}}", number + 1) } else { "null}".to_owned() };
        body.extend_from_slice(next.as_bytes());
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len()).ok()?;
        stream.write_all(&body).ok()?;
    }
}

/// Returns the number of the page that is asked for.
fn request(reader: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|length| *length > 0)?;
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    }
    let page = first.split_once("page=").map(|(_, rest)| rest.split(' ').next().unwrap_or_default());
    page.map_or(Some(1), |page| page.parse().ok())
}

/// Fetches and parses every page; returns how many records there were.
fn fetch(address: &str) -> usize {
    let mut stream = TcpStream::connect(address).expect("the server");
    stream.set_nodelay(true).expect("a socket");
    let mut reader = BufReader::with_capacity(256 * 1024, stream.try_clone().expect("a socket"));
    let (mut target, mut records) = (Some("/orders".to_owned()), 0);
    while let Some(asked) = target {
        write!(stream, "GET {asked} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("a request");
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).expect("a line");
            if let Some(text) = line.strip_prefix("Content-Length: ") {
                length = text.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let page: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        records += page["data"].as_array().expect("records").len();
        target = page["next"].as_str().map(str::to_owned);
    }
    records
}
