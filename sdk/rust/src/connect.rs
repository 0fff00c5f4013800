//! Connectors and deliverers: items as a plugin makes them, and the calls that bring and take messages.

use crate::frame::{Check, Frame, List, Writer, DELIVER, MAX_RECORDS, POLL, POLL_RESULT, RECEIVE, RECEIVE_RESULT};
use crate::item::{ATTRIBUTES, ATTRIBUTE_SIZE, CUSTOMER_ATTRIBUTES, SIZE};
use crate::{Failure, Time};

/// The value of an attribute of a new item.
#[derive(Debug, Clone, PartialEq)]
pub enum NewValue {
    /// A string.
    Text(String),
    /// A number.
    Number(f64),
    /// A truth value.
    Truth(bool),
    /// An instant.
    Instant(Time),
}

/// An item as a connector makes it. What is not given stays empty, `None` or 0; see [`Item`](crate::Item) for what the
/// fields mean. A connector must give `external_id` or leave it to the engine to make one up.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct NewItem {
    pub id: String,
    pub source: String,
    pub external_id: String,
    pub synthetic: String,
    pub batch: String,
    pub position: String,
    pub survey: String,
    pub survey_id: String,
    pub channel: String,
    pub touchpoint: String,
    pub stage: String,
    pub product: String,
    pub location: String,
    pub language: String,
    pub title: String,
    pub text: String,
    pub url: String,
    pub version: i64,
    pub occurred_at: Time,
    pub occurred_assumed: bool,
    pub received_at: Time,
    pub score: Option<f64>,
    pub scale_min: Option<f64>,
    pub scale_max: Option<f64>,
    pub contactable: Option<bool>,
    pub attributes: Vec<(String, NewValue)>,
    pub customer: NewCustomer,
}

/// The customer of a [`NewItem`].
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct NewCustomer {
    pub id: String,
    pub key_kind: String,
    pub name: String,
    pub email: String,
    pub account: String,
    pub segment: String,
    pub tier: String,
    pub region: String,
    pub country: String,
    pub language: String,
    pub owner: String,
    pub arr: Option<f64>,
    pub tenure_days: Option<f64>,
    pub attributes: Vec<(String, NewValue)>,
}

impl NewItem {
    fn strings(&self) -> [&str; 28] {
        let c = &self.customer;
        [
            &self.id, &self.source, &self.external_id, &self.synthetic, &self.batch, &self.position, &self.survey,
            &self.survey_id, &self.channel, &self.touchpoint, &self.stage, &self.product, &self.location,
            &self.language, &self.title, &self.text, &self.url, &c.id, &c.key_kind, &c.name, &c.email, &c.account,
            &c.segment, &c.tier, &c.region, &c.country, &c.language, &c.owner,
        ]
    }

    pub(crate) fn write(&self, w: &mut Writer, at: usize) {
        let numbers = [self.score, self.scale_min, self.scale_max, self.customer.arr, self.customer.tenure_days];
        let mut flags = u64::from(self.occurred_assumed) << 7;
        for (i, n) in numbers.iter().enumerate() {
            flags |= u64::from(n.is_some()) << i;
            w.f64(at + 32 + 8 * i, n.unwrap_or(0.0));
        }
        if let Some(yes) = self.contactable {
            flags |= 32 | u64::from(yes) << 6;
        }
        w.u64(at, flags);
        w.u64(at + 8, self.version as u64);
        w.u64(at + 16, self.occurred_at as u64);
        w.u64(at + 24, self.received_at as u64);
        for (i, s) in self.strings().iter().enumerate() {
            w.bytes(at + 88 + 8 * i, s.as_bytes());
        }
        write_attributes(w, at + ATTRIBUTES, &self.attributes);
        write_attributes(w, at + CUSTOMER_ATTRIBUTES, &self.customer.attributes);
    }
}

fn write_attributes(w: &mut Writer, at: usize, attributes: &[(String, NewValue)]) {
    let mut sorted: Vec<_> = attributes.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let start = w.list(at, sorted.len(), ATTRIBUTE_SIZE).unwrap_or(0);
    if start == 0 {
        return;
    }
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        let at = start + i * ATTRIBUTE_SIZE;
        w.bytes(at, name.as_bytes());
        let (kind, bits) = match value {
            NewValue::Text(s) => (1, w.reference(s.as_bytes())),
            NewValue::Number(f) => (2, f.to_bits()),
            NewValue::Truth(t) => (3, u64::from(*t)),
            NewValue::Instant(t) => (4, *t as u64),
        };
        w.u32(at + 8, kind);
        w.u64(at + 16, bits);
    }
}

pub(crate) fn write_items(w: &mut Writer, head: usize, items: &[NewItem]) {
    for (i, item) in items.iter().enumerate().take(MAX_RECORDS) {
        item.write(w, head + i * SIZE);
    }
}

/// Asks for more feedback.
#[derive(Debug, Clone, Copy)]
pub struct PollRequest<'a> {
    /// What the guest should take as now.
    pub now: Time,
    /// The `next` of the last poll whose items are all durable; empty at the first.
    pub checkpoint: &'a [u8],
    /// The most items and rejects together to return.
    pub limit: usize,
}

/// What a poll brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PollResult {
    /// The items.
    pub items: Vec<NewItem>,
    /// What could not become an item.
    pub rejects: Vec<Reject>,
    /// What is worth telling.
    pub notices: Vec<Notice>,
    /// What the next poll gets as its checkpoint: opaque, at most 65536 bytes.
    pub next: Vec<u8>,
    /// The import that the items belong to.
    pub batch: String,
    /// Whether another poll would return something at once.
    pub more: bool,
    /// Milliseconds before the next poll when `more` is not set; 0 means the program's interval.
    pub wait_ms: u64,
}

/// Something that is no valid item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reject {
    /// Where it stands, such as `line 12`.
    pub position: String,
    /// Short and stable, such as `bad_score`.
    pub code: String,
    /// What was found and what was expected.
    pub message: String,
    /// The beginning of the original.
    pub raw: String,
}

/// Something worth telling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notice {
    /// Where it stands.
    pub position: String,
    /// Short and stable.
    pub code: String,
    /// What there is to tell.
    pub message: String,
}

/// A request that arrived, its signature checked.
#[derive(Debug, Clone)]
pub struct ReceiveRequest<'a> {
    /// What the guest should take as now.
    pub now: Time,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// What was sent.
    pub body: &'a [u8],
}

/// What a request held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReceiveResult {
    /// The items.
    pub items: Vec<NewItem>,
    /// What could not become an item.
    pub rejects: Vec<Reject>,
}

/// A message to deliver.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// What the guest should take as now.
    pub now: Time,
    /// The same at every attempt of one delivery.
    pub key: &'a str,
    /// What it is about.
    pub kind: &'a str,
    /// A JSON object.
    pub body: &'a [u8],
    /// When the message was made.
    pub at: Time,
    /// 1 at first.
    pub attempt: u32,
}

pub(crate) fn headers(c: &mut Check, list: List) -> Vec<(String, String)> {
    for i in 0..list.count {
        c.strings(&list.get(i), 0, 16);
    }
    let mut out: Vec<(String, String)> = Vec::new();
    for i in 0..list.count {
        let (name, value) = (list.get(i).str(0), list.get(i).str(8));
        match out.iter_mut().find(|h| h.0 == name) {
            Some(h) if list.count < 1000 => h.1 = value.into(), // of two with one name the last counts
            _ => out.push((name.into(), value.into())),
        }
    }
    out
}

pub(crate) fn read_poll(b: &[u8]) -> Result<PollRequest<'_>, Failure> {
    let f = Frame::open(b, POLL)?;
    let mut c = Check::new(&f);
    c.time(&f.head, 24);
    c.bytes(&f.head, 32);
    c.done()?;
    Ok(PollRequest { now: f.head.i64(24), checkpoint: f.head.bytes(32), limit: f.head.u32(40) as usize })
}

pub(crate) fn read_receive(b: &[u8]) -> Result<ReceiveRequest<'_>, Failure> {
    let f = Frame::open(b, RECEIVE)?;
    let mut c = Check::new(&f);
    c.time(&f.head, 24);
    c.bytes(&f.head, 32);
    let headers = headers(&mut c, f.records);
    c.done()?;
    Ok(ReceiveRequest { now: f.head.i64(24), headers, body: f.head.bytes(32) })
}

pub(crate) fn read_deliver(b: &[u8]) -> Result<Message<'_>, Failure> {
    let f = Frame::open(b, DELIVER)?;
    let mut c = Check::new(&f);
    c.time(&f.head, 24);
    c.strings(&f.head, 32, 56);
    c.time(&f.head, 56);
    c.done()?;
    let h = f.head;
    Ok(Message { now: h.i64(24), key: h.str(32), kind: h.str(40), body: h.bytes(48), at: h.i64(56), attempt: h.u32(64) })
}

pub(crate) fn write_poll_result(w: &mut Writer, p: &PollResult) {
    if p.next.len() > 65536 {
        return w.failure(&Failure::fatal("the checkpoint is larger than 65536 bytes"));
    }
    w.begin(POLL_RESULT, 72, p.items.len(), SIZE);
    w.bytes(24, &p.next);
    w.bytes(32, p.batch.as_bytes());
    w.u64(40, p.wait_ms);
    w.u64(48, u64::from(p.more));
    rejects(w, 56, &p.rejects);
    if let Some(start) = w.list(64, p.notices.len(), 24) {
        for (i, n) in p.notices.iter().enumerate() {
            strings(w, start + 24 * i, &[&n.position, &n.code, &n.message]);
        }
    }
    if !w.overflowed() {
        write_items(w, 72, &p.items);
    }
    w.end();
}

pub(crate) fn write_receive_result(w: &mut Writer, p: &ReceiveResult) {
    w.begin(RECEIVE_RESULT, 32, p.items.len(), SIZE);
    rejects(w, 24, &p.rejects);
    if !w.overflowed() {
        write_items(w, 32, &p.items);
    }
    w.end();
}

fn rejects(w: &mut Writer, at: usize, list: &[Reject]) {
    if let Some(start) = w.list(at, list.len(), 32) {
        for (i, r) in list.iter().enumerate() {
            strings(w, start + 32 * i, &[&r.position, &r.code, &r.message, &r.raw]);
        }
    }
}

fn strings(w: &mut Writer, at: usize, all: &[&str]) {
    for (i, s) in all.iter().enumerate() {
        w.bytes(at + 8 * i, s.as_bytes());
    }
}
