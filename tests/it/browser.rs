//! Debian's Chromium, driven by its DevTools protocol over two pipes: real keys, media, pictures. Without a network.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A page in a browser; dropped, the browser ends.
pub struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    calls: u64,
    /// The names of what happened and was not waited for.
    happened: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Opens a page in a window of this size.
    #[track_caller]
    pub fn open(page: &Path, (width, height): (u32, u32)) -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let made = Command::new("mkfifo").args(["to", "from"]).current_dir(profile.path()).status().expect("mkfifo, of coreutils, starts");
        assert!(made.success());
        let options =
            ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
        let more = ["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe", "about:blank"];
        let mut command = Command::new("sh");
        command.args(["-c", "exec chromium \"$@\" 3<to 4>from", "sh"]).args(options).args(more);
        command.arg(format!("--user-data-dir={}", profile.path().join("profile").display()));
        command.arg(format!("--window-size={width},{height}")).current_dir(profile.path()).env("HOME", profile.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sh starts");
        // In the order in which the shell opens them: each waits for the other end.
        let to = File::options().write(true).open(profile.path().join("to")).expect("a pipe");
        let from = BufReader::new(File::open(profile.path().join("from")).expect("a pipe"));
        let mut browser = Self { child, to, from, session: None, calls: 0, happened: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let session = browser.call("Target.attachToTarget", &json!({"targetId": target, "flatten": true}))["sessionId"].clone();
        browser.session = session.as_str().map(str::to_owned);
        browser.call("Page.enable", &json!({}));
        browser.call("Page.navigate", &json!({"url": format!("file://{}", page.display())}));
        while !browser.happened.iter().any(|name| name == "Page.loadEventFired") {
            browser.hear();
        }
        browser
    }

    /// Calls a method of the protocol and returns its result.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("chromium is installed and takes orders: apt-get install chromium");
        loop {
            let answer = self.hear();
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    #[track_caller]
    fn hear(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).expect("the browser speaks");
        assert_eq!(bytes.pop(), Some(0), "the browser has gone: apt-get install chromium");
        let message: Value = serde_json::from_slice(&bytes).expect("JSON");
        self.happened.extend(message["method"].as_str().map(str::to_owned));
        message
    }

    /// Returns the value of an expression of the page.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let told = self.call("Runtime.evaluate", &json!({"expression": expression, "returnByValue": true, "awaitPromise": true}));
        assert!(told["exceptionDetails"].is_null(), "{expression}: {told}");
        told["result"]["value"].clone()
    }

    /// Presses a key as a person does: Tab, Enter, Space, or one that writes itself.
    #[track_caller]
    pub fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            "Space" => ("Space", 32, " "),
            "ArrowLeft" => ("ArrowLeft", 37, ""),
            other => (other, 0, other),
        };
        let key = if key == "Space" { " " } else { key };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        for kind in [kind, "keyUp"] {
            let text = if kind == "keyUp" { "" } else { text };
            self.call(
                "Input.dispatchKeyEvent",
                &json!({"type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number, "text": text}),
            );
        }
    }

    /// Gives the page another size, smaller ones than windows can have too.
    #[track_caller]
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
    }

    /// Shows the page as on `media` in a colour scheme.
    #[track_caller]
    pub fn show_as(&mut self, media: &str, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"media": media, "features": features}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
