//! Says what it has read and builds what it is told; see ../../README.md.

use std::fmt::Write;

use closedloop::{
    Attributes, Categorizer, Config, Deliverer, Failure, Item, Labels, Level, Message, NewItem, Plugin, PollRequest,
    PollResult, Poller, ReceiveRequest, ReceiveResult, Receiver, Reject, Request, Value,
};

struct Echo;

impl Plugin for Echo {
    fn new(config: &Config) -> Result<Self, Failure> {
        let mut said = String::new();
        number(&mut said, "now", config.now as u64);
        string(&mut said, "settings", config.settings.text());
        string(&mut said, "instance", config.instance);
        number(&mut said, "contract", config.contract.into());
        number(&mut said, "grants", config.grants.into());
        for f in &config.files {
            string(&mut said, "file", &f.name);
            number(&mut said, "size", f.size as u64);
            number(&mut said, "modified", f.modified as u64);
            number(&mut said, "identity", f.identity);
            number(&mut said, "id", f.id as u64);
        }
        closedloop::log(Level::Info, &said);
        match config.settings.get("refuse").string() {
            Some(why) => Err(Failure::fatal(why).code("refused")),
            None => Ok(Echo),
        }
    }
}

impl Categorizer for Echo {
    fn categorize(&mut self, item: &Item, labels: &mut Labels) -> Result<(), Failure> {
        match item.source() {
            "script" => script(item.text(), labels),
            "host" => {
                let said = host(item.text())?;
                labels.drop(&said);
                Ok(())
            }
            "panic" => panic!("told to"),
            _ => {
                labels.drop(&dump(item));
                Ok(())
            }
        }
    }
}

impl Poller for Echo {
    fn poll(&mut self, request: &PollRequest) -> Result<PollResult, Failure> {
        let mut said = String::new();
        number(&mut said, "now", request.now as u64);
        string(&mut said, "checkpoint", &String::from_utf8_lossy(request.checkpoint));
        number(&mut said, "limit", request.limit as u64);
        Ok(PollResult {
            items: vec![NewItem { external_id: "1".into(), text: said, score: Some(3.0), ..NewItem::default() }],
            next: b"next".to_vec(),
            ..PollResult::default()
        })
    }
}

impl Receiver for Echo {
    fn receive(&mut self, request: &ReceiveRequest) -> Result<ReceiveResult, Failure> {
        let mut said = String::new();
        number(&mut said, "now", request.now as u64);
        for (name, value) in &request.headers {
            string(&mut said, name, value);
        }
        string(&mut said, "body", &String::from_utf8_lossy(request.body));
        Ok(ReceiveResult {
            items: vec![],
            rejects: vec![Reject { code: "said".into(), message: said, ..Reject::default() }],
        })
    }
}

impl Deliverer for Echo {
    fn deliver(&mut self, m: &Message) -> Result<(), Failure> {
        let mut said = String::new();
        number(&mut said, "now", m.now as u64);
        string(&mut said, "key", m.key);
        string(&mut said, "kind", m.kind);
        string(&mut said, "body", &String::from_utf8_lossy(m.body));
        number(&mut said, "at", m.at as u64);
        number(&mut said, "attempt", m.attempt.into());
        Err(Failure::retry(said).code("said").after(1500))
    }
}

closedloop::plugin!(Echo: categorize, poll, receive, deliver);

fn number(out: &mut String, name: &str, v: u64) {
    if v != 0 {
        let _ = writeln!(out, "{}={:016x}", name, v);
    }
}

fn some(out: &mut String, name: &str, v: Option<f64>) {
    if let Some(v) = v {
        let _ = writeln!(out, "{}={:016x}", name, v.to_bits());
    }
}

fn string(out: &mut String, name: &str, v: &str) {
    if !v.is_empty() {
        let _ = writeln!(out, "{}={}", name, v);
    }
}

fn attributes(out: &mut String, of: &str, all: Attributes) {
    for (name, v) in all {
        let _ = match v {
            Value::Text(s) => writeln!(out, "{}.{}=1:{}", of, name, s),
            Value::Number(f) => writeln!(out, "{}.{}=2:{:016x}", of, name, f.to_bits()),
            Value::Truth(t) => writeln!(out, "{}.{}=3:{:016x}", of, name, u64::from(t)),
            Value::Instant(t) => writeln!(out, "{}.{}=4:{:016x}", of, name, t),
        };
    }
}

fn dump(item: &Item) -> String {
    let mut out = String::from("item\n");
    let o = &mut out;
    let c = item.customer();
    number(o, "version", item.version() as u64);
    number(o, "occurred_at", item.occurred_at() as u64);
    number(o, "received_at", item.received_at() as u64);
    some(o, "score", item.score());
    some(o, "scale_min", item.scale_min());
    some(o, "scale_max", item.scale_max());
    some(o, "customer.arr", c.arr());
    some(o, "customer.tenure_days", c.tenure_days());
    some(o, "contactable", item.contactable().map(|yes| f64::from(u8::from(yes))));
    number(o, "occurred_assumed", item.occurred_assumed().into());
    string(o, "id", item.id());
    string(o, "source", item.source());
    string(o, "external_id", item.external_id());
    string(o, "synthetic", item.synthetic());
    string(o, "batch", item.batch());
    string(o, "position", item.position());
    string(o, "survey", item.survey());
    string(o, "survey_id", item.survey_id());
    string(o, "channel", item.channel());
    string(o, "touchpoint", item.touchpoint());
    string(o, "stage", item.stage());
    string(o, "product", item.product());
    string(o, "location", item.location());
    string(o, "language", item.language());
    string(o, "title", item.title());
    string(o, "text", item.text());
    string(o, "url", item.url());
    string(o, "customer.id", c.id());
    string(o, "customer.key_kind", c.key_kind());
    string(o, "customer.name", c.name());
    string(o, "customer.email", c.email());
    string(o, "customer.account", c.account());
    string(o, "customer.segment", c.segment());
    string(o, "customer.tier", c.tier());
    string(o, "customer.region", c.region());
    string(o, "customer.country", c.country());
    string(o, "customer.language", c.language());
    string(o, "customer.owner", c.owner());
    attributes(o, "attributes", item.attributes());
    attributes(o, "customer.attributes", c.attributes());
    out
}

fn hex(s: &str) -> u64 {
    u64::from_str_radix(s, 16).unwrap_or(0)
}

/// Builds a result from lines of a verb, numbers in hexadecimal and text.
fn script(text: &str, labels: &mut Labels) -> Result<(), Failure> {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (first, last) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "sentiment" => labels.sentiment(f64::from_bits(hex(first))),
            "drop" => labels.drop(rest),
            "fatal" | "retry" => {
                let (code, message) = last.split_once(' ').unwrap_or((last, ""));
                let f = if verb == "fatal" { Failure::fatal(message) } else { Failure::retry(message) };
                return Err(f.code(code).after(hex(first)));
            }
            "theme" => {
                let mut theme = labels.theme(last, f64::from_bits(hex(first)));
                while let Some(line) = lines.peek() {
                    let mut words = line.split(' ').skip(1).map(hex);
                    if line.starts_with("towards ") {
                        theme = theme.sentiment(f64::from_bits(words.next().unwrap_or(0)));
                    } else if line.starts_with("span ") {
                        let (start, end) = (words.next().unwrap_or(0), words.next().unwrap_or(0));
                        theme = theme.evidence(start as usize, end as usize);
                    } else {
                        break;
                    }
                    lines.next();
                }
            }
            _ => return Err(Failure::fatal(line).code("bad_script")),
        }
    }
    Ok(())
}

/// Calls a function of the host and says what came of it.
fn host(text: &str) -> Result<String, Failure> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut said = String::from("host\n");
    match verb {
        "now" => number(&mut said, "now", closedloop::now() as u64),
        "files" => {
            for f in closedloop::files()? {
                string(&mut said, "file", &f.name);
                number(&mut said, "size", f.size as u64);
            }
        }
        "read" => {
            for f in closedloop::files()?.iter().filter(|f| f.name == rest) {
                let mut buf = [0; 7];
                let (mut all, mut n) = (Vec::new(), 1);
                while n > 0 {
                    n = closedloop::read_file(f.id, all.len() as u64, &mut buf)?;
                    all.extend_from_slice(&buf[..n]);
                }
                string(&mut said, "content", &String::from_utf8_lossy(&all));
            }
        }
        "http" => {
            let headers = vec![("x-test".into(), "1".into())];
            let body = b"body".to_vec();
            let r = closedloop::http(&Request { method: "POST".into(), url: rest.into(), headers, body, ..Request::default() })?;
            number(&mut said, "status", r.status.into());
            string(&mut said, "body", &String::from_utf8_lossy(&r.body));
        }
        "put" => {
            let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
            closedloop::kv_put(key.as_bytes(), value.as_bytes())?;
        }
        "get" => match closedloop::kv_get(rest.as_bytes())? {
            Some(v) => string(&mut said, "value", &String::from_utf8_lossy(&v)),
            None => string(&mut said, "value", "none"),
        },
        _ => return Err(Failure::fatal(text).code("bad_verb")),
    }
    Ok(said)
}
