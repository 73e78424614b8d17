//! A web server that does what a test tells it, also what no good server does: cuts, lies, drips, resets.
//!
//! Answers come from a function or from a list; what was asked is kept.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long a connection that says nothing is kept.
const IDLE: Duration = Duration::from_secs(30);

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// GET, POST, ...
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    /// Names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// How many requests came before it.
    pub number: usize,
}

impl Request {
    /// Returns the first value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Returns the path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns a parameter of the query as it was sent.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.target.split_once('?')?.1.split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

/// How the bytes of an answer's body go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// With their length.
    Whole,
    /// Without their length: the end of the connection is theirs.
    UntilClose,
    /// In chunks of so many bytes.
    Chunked(usize),
    /// So many bytes at a time, with pauses.
    Drip(usize, Duration),
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// As it should.
    Good,
    /// The connection is closed after so many bytes of the body (of all that is sent of it).
    Cut(usize),
    /// The connection is reset before anything is sent.
    Reset,
    /// Nothing is ever sent.
    Hang,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    sending: Sending,
    end: End,
    /// What `Content-Length` says, where it lies.
    length: Option<u64>,
    version: &'static str,
    raw: Option<Vec<u8>>,
}

impl Response {
    /// An answer with a status and a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            sending: Sending::Whole,
            end: End::Good,
            length: None,
            version: "1.1",
            raw: None,
        }
    }

    /// 200 with JSON.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body).header("Content-Type", "application/json")
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::new(status, "").header("Location", location)
    }

    /// These bytes and nothing else, then the end of the connection.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::new(200, "") }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Compresses the body.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&self.body).expect("memory takes it");
        self.body = encoder.finish().expect("memory takes it");
        self.header("Content-Encoding", "gzip")
    }

    /// Sends the body so many times in one answer.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { body: self.body.repeat(times), ..self }
    }

    /// Sends the body in chunks of so many bytes.
    #[must_use]
    pub fn chunked(self, bytes: usize) -> Self {
        Self { sending: Sending::Chunked(bytes), ..self }
    }

    /// Sends so many bytes of the body at a time, with pauses.
    #[must_use]
    pub fn drip(self, bytes: usize, pause: Duration) -> Self {
        Self { sending: Sending::Drip(bytes, pause), ..self }
    }

    /// Closes the connection after so many bytes of the body.
    #[must_use]
    pub fn cut_after(self, bytes: usize) -> Self {
        Self { end: End::Cut(bytes), ..self }
    }

    /// Resets the connection instead of answering.
    pub fn reset() -> Self {
        Self { end: End::Reset, ..Self::new(200, "") }
    }

    /// Never answers.
    pub fn hang() -> Self {
        Self { end: End::Hang, ..Self::new(200, "") }
    }

    /// Says another length than the body's.
    #[must_use]
    pub fn content_length(self, bytes: u64) -> Self {
        Self { length: Some(bytes), ..self }
    }

    /// Answers as servers did in 1996: no length, the end of the connection ends the body.
    #[must_use]
    pub fn http10(self) -> Self {
        Self { version: "1.0", sending: Sending::UntilClose, ..self }
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/{} {} Said\r\n", self.version, self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &match self.sending {
            Sending::UntilClose => "Connection: close\r\n".to_owned(),
            Sending::Chunked(_) => "Transfer-Encoding: chunked\r\n".to_owned(),
            Sending::Whole | Sending::Drip(..) => format!("Content-Length: {}\r\n", self.length.unwrap_or(self.body.len() as u64)),
        };
        head + "\r\n"
    }

    /// Returns the bytes of the body as they go out, in the pieces in which they do.
    fn pieces(&self) -> Vec<Vec<u8>> {
        match self.sending {
            Sending::Whole | Sending::UntilClose => vec![self.body.clone()],
            Sending::Drip(bytes, _) => self.body.chunks(bytes.max(1)).map(<[u8]>::to_vec).collect(),
            Sending::Chunked(bytes) => {
                let chunk = |data: &[u8]| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
                self.body.chunks(bytes.max(1)).map(chunk).chain([b"0\r\n\r\n".to_vec()]).collect()
            }
        }
    }

    /// Sends the answer; returns whether the connection can go on.
    fn send(&self, stream: &mut dyn Write) -> io::Result<bool> {
        if let Some(raw) = &self.raw {
            stream.write_all(raw)?;
            stream.flush()?;
            return Ok(false);
        }
        stream.write_all(self.head().as_bytes())?;
        let mut left = if let End::Cut(bytes) = self.end { bytes } else { usize::MAX };
        for piece in self.pieces() {
            let piece = &piece[..piece.len().min(left)];
            stream.write_all(piece)?;
            stream.flush()?;
            left -= piece.len();
            if left == 0 {
                break;
            }
            if let Sending::Drip(_, pause) = self.sending {
                std::thread::sleep(pause);
            }
        }
        Ok(self.end == End::Good && self.sending != Sending::UntilClose && self.length.is_none())
    }
}

/// A function that answers.
type Answer = dyn Fn(&Request) -> Response + Send + Sync;

/// A running server; it ends when it is dropped.
pub struct HttpServer {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
}

/// Starts a server that answers by a function.
pub fn serve(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> HttpServer {
    start(None, Arc::new(answer))
}

/// Starts a server that gives each answer once, in order; then it says 410.
pub fn script(answers: Vec<Response>) -> HttpServer {
    serve(move |request| answers.get(request.number).cloned().unwrap_or_else(|| Response::new(410, "nothing more is written down")))
}

/// Starts a server that speaks TLS as `localhost`; returns it and the folder that has the certificate of its CA, `ca.crt`.
pub fn serve_tls(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> (HttpServer, std::path::PathBuf) {
    let folder = super::folder("etlsched-https-");
    std::fs::create_dir(folder.join("data")).expect("a folder for the key");
    super::make_certificates(&folder);
    let chain = CertificateDer::pem_file_iter(folder.join("data/server.crt")).expect("a certificate");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("data/server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they belong together");
    (start(Some(Arc::new(config)), Arc::new(answer)), folder)
}

fn start(tls: Option<Arc<ServerConfig>>, answer: Arc<Answer>) -> HttpServer {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let is_over = Arc::new(AtomicBool::new(false));
    let server =
        HttpServer { port, scheme: if tls.is_some() { "https" } else { "http" }, seen: Arc::clone(&seen), is_over: Arc::clone(&is_over) };
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let (tls, answer, seen) = (tls.clone(), Arc::clone(&answer), Arc::clone(&seen));
            // A client that goes away in the middle is what many tests are about.
            std::thread::spawn(move || _ = converse(stream, tls, &*answer, &seen));
        }
    });
    server
}

impl HttpServer {
    /// Returns a URL of this server.
    pub fn url(&self, target: &str) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}{target}", self.scheme, self.port)
    }

    /// Returns what was asked so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no test panics in it").clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn converse(stream: TcpStream, tls: Option<Arc<ServerConfig>>, answer: &Answer, seen: &Mutex<Vec<Request>>) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let raw = stream.try_clone()?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config).map_err(io::Error::other)?, stream)),
    };
    let mut stream = BufReader::new(stream);
    loop {
        let Some(mut request) = receive(&mut stream)? else { return Ok(()) };
        let response = {
            let mut seen = seen.lock().expect("no test panics in it");
            request.number = seen.len();
            seen.push(request.clone());
            drop(seen);
            answer(&request)
        };
        match response.end {
            End::Reset => return rustix::net::sockopt::set_socket_linger(&raw, Some(Duration::ZERO)).map_err(io::Error::from),
            End::Hang => {
                // Until the client has enough of it.
                let _ = stream.read(&mut [0]);
                return Ok(());
            }
            End::Good | End::Cut(_) => {}
        }
        if !response.send(stream.get_mut())? {
            return raw.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Reads a request; `None` where the connection ends before it.
fn receive(stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut request = Request { method: words.next().unwrap_or_default(), target: words.next().unwrap_or_default(), ..Request::default() };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}
