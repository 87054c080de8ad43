//! A browser that a test drives by the DevTools protocol over a pipe, and what it complains of.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::*;

/// Flags that keep the browser to the page: no user interface, no requests to its makers.
const FLAGS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
    "about:blank",
];

/// A browser with one tab. It ends with the test, with all of its processes.
pub(crate) struct Tab {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    /// The identifier of the latest command.
    id: u64,
    session: Option<String>,
    /// The requests under way, with the document that each is for.
    under_way: HashMap<String, String>,
    complaints: Vec<String>,
    protocols: BTreeSet<String>,
    /// The addresses of all requests.
    urls: BTreeSet<String>,
    _profile: TempDir,
}

impl Tab {
    /// Starts a browser with an empty profile, which trusts the certificate with this `pin`.
    pub(crate) fn open(chromium: &Path, pin: Option<&str>) -> Self {
        let profile = TempDir::with_prefix("profile-").unwrap();
        let mut command = Command::new("sh");
        // The browser reads commands from descriptor 3 and writes answers to 4.
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"]);
        command.arg(chromium).args(FLAGS);
        command.args(pin.map(|pin| format!("--ignore-certificate-errors-spki-list={pin}")));
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // The group holds the many processes of a browser.
        let mut child = command.process_group(0).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(from).split(0).map_while(Result::ok) {
                let _ = sender.send(serde_json::from_slice(&message).unwrap());
            }
        });
        let mut tab = Self {
            child,
            to,
            from: receiver,
            id: 0,
            session: None,
            under_way: HashMap::new(),
            complaints: Vec::new(),
            protocols: BTreeSet::new(),
            urls: BTreeSet::new(),
            _profile: profile,
        };
        tab.attach();
        tab
    }

    fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"})).unwrap();
        let target = &target["targetId"];
        let attach = json!({"targetId": target, "flatten": true});
        let session = self.call("Target.attachToTarget", attach).unwrap();
        self.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({})).unwrap();
        }
    }

    /// Sends one command and returns its result, or the browser's words about its failure.
    fn call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.id += 1;
        let mut command = json!({"id": self.id, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let message = self.from.recv_timeout(PATIENCE);
            let mut message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.id {
                return match message.get("error") {
                    Some(error) => Err(error.to_string()),
                    None => Ok(message["result"].take()),
                };
            }
            self.note(&message);
        }
    }

    /// Takes notes of one event.
    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let request = text(&params["requestId"]);
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.urls.insert(text(&params["request"]["url"]));
                // Events have no end.
                if params["type"] != "EventSource" {
                    self.under_way.insert(request, text(&params["loaderId"]));
                }
            }
            "Network.loadingFinished" => {
                self.under_way.remove(&request);
            }
            "Network.loadingFailed" => {
                self.under_way.remove(&request);
                if params["canceled"] != true {
                    self.complaints.push(format!("a request failed: {params}"));
                }
            }
            "Network.responseReceived" => {
                let response = &params["response"];
                let (url, status) = (text(&response["url"]), &response["status"]);
                if url.starts_with("http") {
                    self.protocols.insert(text(&response["protocol"]));
                }
                if status.as_u64().is_some_and(|status| status >= 400) {
                    self.complaints.push(format!("{status} {url}"));
                }
            }
            // Requests of the document before may end without a word.
            "Page.frameNavigated" if params["frame"].get("parentId").is_none() => {
                let document = text(&params["frame"]["loaderId"]);
                self.under_way.retain(|_, of| *of == document);
            }
            "Runtime.exceptionThrown" => {
                let details = &params["exceptionDetails"];
                let why = &details["exception"]["description"];
                self.complaints.push(format!("{}: {why}", text(&details["text"])));
            }
            "Runtime.consoleAPICalled" if params["type"] == "error" => {
                self.complaints.push(params["args"].to_string());
            }
            "Log.entryAdded" if params["entry"]["level"] == "error" => {
                let entry = &params["entry"];
                self.complaints.push(format!("{} {}", text(&entry["text"]), text(&entry["url"])));
            }
            _ => {}
        }
    }

    /// Shows the page as on a screen of this width whose owner prefers `light` or `dark` pages.
    pub(crate) fn show_as(&mut self, scheme: &str, width: u32) {
        let size =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size).unwrap();
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).unwrap();
    }

    /// Shows the page in the few colours of a system with high contrast.
    pub(crate) fn force_colors(&mut self) {
        let features = json!({"features": [{"name": "forced-colors", "value": "active"}]});
        self.call("Emulation.setEmulatedMedia", features).unwrap();
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`, ` `, `ArrowLeft`.
    pub(crate) fn press(&mut self, key: &str) {
        self.key_down(key, false);
        self.key_event("keyUp", key, json!({}));
    }

    /// Presses a key and holds it, or repeats the press of one that is held.
    pub(crate) fn key_down(&mut self, key: &str, is_repeat: bool) {
        let text = match key {
            "Enter" => Some("\r"),
            " " => Some(" "),
            _ => None,
        };
        match text {
            Some(text) => {
                self.key_event("keyDown", key, json!({"text": text, "autoRepeat": is_repeat}));
            }
            None => self.key_event("rawKeyDown", key, json!({"autoRepeat": is_repeat})),
        }
    }

    fn key_event(&mut self, kind: &str, key: &str, mut event: Value) {
        let (code, number) = match key {
            "Tab" => ("Tab", 9),
            "Enter" => ("Enter", 13),
            "Escape" => ("Escape", 27),
            " " => ("Space", 32),
            "ArrowLeft" => ("ArrowLeft", 37),
            _ => panic!("the key {key:?} has no number here"),
        };
        event["type"] = json!(kind);
        event["key"] = json!(key);
        event["code"] = json!(code);
        event["windowsVirtualKeyCode"] = json!(number);
        self.call("Input.dispatchKeyEvent", event).unwrap();
    }

    /// Types a text into the field that has the focus.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).unwrap();
    }

    /// Runs a script and then an expression beside the page, where its policy does not count. Returns the
    /// value of the expression.
    pub(crate) fn beside(&mut self, script: &str, expression: &str) -> Value {
        let tree = self.call("Page.getFrameTree", json!({})).unwrap();
        let frame = json!({"frameId": tree["frameTree"]["frame"]["id"]});
        let world = self.call("Page.createIsolatedWorld", frame).unwrap();
        let mut value = Value::Null;
        for expression in [script, expression] {
            let params = json!({
                "expression": expression,
                "contextId": world["executionContextId"],
                "returnByValue": true,
                "awaitPromise": true,
            });
            let mut result = self.call("Runtime.evaluate", params).unwrap();
            assert!(result.get("exceptionDetails").is_none(), "{expression:.99}: {result}");
            value = result["result"]["value"].take();
        }
        value
    }

    /// Takes a picture of the page, down to this height, as a PNG.
    pub(crate) fn picture(&mut self, width: u32, height: u32) -> Vec<u8> {
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let params = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.call("Page.captureScreenshot", params).unwrap();
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// The value of an expression, or `None` while the page changes.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Option<Value> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params).ok()?;
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"].get("value").cloned()
    }

    /// Goes to an address as if it were typed.
    pub(crate) fn go(&mut self, url: &str) {
        let result = self.call("Page.navigate", json!({"url": url})).unwrap();
        assert!(result.get("errorText").is_none(), "{url}: {result}");
        self.settle();
    }

    /// Loads the page again.
    pub(crate) fn reload(&mut self) {
        // The mark is gone when the new document is there.
        self.evaluate("window.ofTheTest = 1");
        self.call("Page.reload", json!({})).unwrap();
        self.until("a new document", |tab| {
            tab.evaluate("window.ofTheTest === undefined").filter(|is_new| *is_new == true)
        });
        self.settle();
    }

    /// Goes back in the history to the page of `path`.
    pub(crate) fn back(&mut self, path: &str) {
        self.evaluate("history.back()");
        self.until(path, |tab| (tab.path() == path).then_some(()));
        self.settle();
    }

    /// Clicks the first element that `selector` finds, and waits for the page of `path`.
    pub(crate) fn click(&mut self, selector: &str, path: &str) {
        let find = format!("document.querySelector({})", json!(selector));
        let found = self.evaluate(&format!("{find} !== null"));
        assert_eq!(found, Some(json!(true)), "no {selector} on {}", self.path());
        self.evaluate(&format!("{find}.click()"));
        self.until(path, |tab| (tab.path() == path).then_some(()));
        self.settle();
    }

    /// The path of the page's address.
    pub(crate) fn path(&mut self) -> String {
        let path = self.evaluate("location.pathname");
        path.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Waits until the page's first heading is `heading`.
    pub(crate) fn assert_heading(&mut self, heading: &str) {
        let mut seen = String::new();
        let end = Instant::now() + PATIENCE;
        while seen != heading {
            assert!(Instant::now() < end, "{seen:?} in place of {heading:?} on {}", self.path());
            let found = self.evaluate("(document.querySelector('main h1') ?? document.querySelector('h1'))?.innerText ?? ''");
            seen = found.as_ref().and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        }
        self.settle();
    }

    /// Waits until the page is complete and no request is under way.
    pub(crate) fn settle(&mut self) {
        self.until("the page's rest", |tab| {
            let complete = tab.evaluate("document.readyState === 'complete'") == Some(json!(true));
            (complete && tab.under_way.is_empty()).then_some(())
        });
    }

    /// Waits until `expression` is true.
    pub(crate) fn until_true(&mut self, expression: &str) {
        self.until(expression, |tab| tab.evaluate(expression).filter(|value| *value == true));
    }

    fn until<T>(&mut self, what: &str, mut ask: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            let now = format!("{}: {:?}, {:?}", self.path(), self.under_way, self.complaints);
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}; {now}");
            match self.from.recv_timeout(Duration::from_millis(10)) {
                Ok(event) => self.note(&event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }

    /// Everything that the browser has complained of since the last call: errors in the console,
    /// exceptions, failed requests, and statuses from 400.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.settle();
        std::mem::take(&mut self.complaints)
    }

    /// The [`complaints`](Self::complaints) that are not about other hosts, none of which is reached.
    pub(crate) fn own_complaints(&mut self) -> Vec<String> {
        let mut complaints = self.complaints();
        complaints.retain(|complaint| !complaint.contains("ERR_NAME_NOT_RESOLVED"));
        complaints
    }

    /// The protocols of all responses so far.
    pub(crate) fn protocols(&self) -> Vec<&str> {
        self.protocols.iter().map(String::as_str).collect()
    }

    /// The addresses of all requests so far.
    pub(crate) fn urls(&self) -> Vec<&str> {
        self.urls.iter().map(String::as_str).collect()
    }

    /// Clicks through the site from the page at `url`: every link of every page that it comes to,
    /// `most` pages at most, each of which is loaded again. Returns their paths.
    pub(crate) fn crawl(&mut self, url: &str, most: usize) -> Vec<String> {
        self.go(url);
        let mut seen = vec![self.path()];
        let mut queue =
            self.links().into_iter().map(|link| (url.to_owned(), link)).rev().collect::<Vec<_>>();
        let origin = url.trim_end_matches('/').to_owned();
        while let Some((from, link)) = queue.pop() {
            if seen.len() == most {
                break;
            }
            if seen.contains(&link) {
                continue;
            }
            self.go(&from);
            let links = "[...document.querySelectorAll('a[href]:not([target=_blank])')]";
            let with_path = format!("a => a.pathname === {} && a.origin === origin", json!(link));
            let clicked = self.evaluate(&format!("{links}.find({with_path})?.click() ?? 1"));
            self.settle();
            let path = self.until(&link, |tab| Some(tab.path()).filter(|path| !path.is_empty()));
            let title = self.title();
            self.reload();
            let what = format!("{title:?} on {path} from {from} by {link} again, {clicked:?}");
            self.until(&what, |tab| (tab.title() == title).then_some(()));
            let complaints = self.own_complaints();
            assert!(complaints.is_empty(), "{path} from {from} by {link}: {complaints:?}");
            let here = format!("{origin}{path}");
            queue.extend(self.links().into_iter().map(|link| (here.clone(), link)).rev());
            seen.extend([link, path]);
            seen.sort();
            seen.dedup();
        }
        seen
    }

    /// The title after a while in which the page's script may have set it.
    fn title(&mut self) -> String {
        let title = self.evaluate("new Promise(r => setTimeout(() => r(document.title), 200))");
        title.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The paths of this page's links to pages of its own site.
    fn links(&mut self) -> Vec<String> {
        let links = self.evaluate(
            "[...new Set([...document.querySelectorAll('a[href]:not([target=_blank])')]\
              .filter(a => a.origin === origin && !a.hasAttribute('download'))\
              .map(a => a.pathname))]",
        );
        serde_json::from_value(links.unwrap_or_default()).unwrap_or_default()
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.child.wait();
    }
}
