//! The frames of testdata/wire: what this crate writes is compared with them byte by byte, and all are read.

use crate::connect::*;
use crate::frame::{Malformed, Writer};
use crate::host::{parse_files, parse_response, write_request, File, Request};
use crate::item::Items;
use crate::labels::Results;
use crate::{testing, Failure};

fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/../../testdata/wire/{}.hex", env!("CARGO_MANIFEST_DIR"), name);
    let text = std::fs::read_to_string(&path).expect(&path);
    text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::default();
    write(&mut w);
    w.buf
}

fn text(name: &str, value: &str) -> (String, NewValue) {
    (name.into(), NewValue::Text(value.into()))
}

fn full() -> NewItem {
    NewItem {
        id: "f_01J9Z0000000000000000000AB".into(),
        source: "store-survey".into(),
        external_id: "R-1001".into(),
        synthetic: "damaged".into(),
        batch: "surveys.csv 2026-01-01".into(),
        position: "line 12".into(),
        survey: "nps".into(),
        survey_id: "SV_1".into(),
        channel: "survey".into(),
        touchpoint: "checkout/payment".into(),
        stage: "purchase".into(),
        product: "Kettle".into(),
        location: "Köln".into(),
        language: "de".into(),
        title: "Verpackung".into(),
        text: "Die Schachtel ging nicht auf – zum Verzweifeln.".into(),
        url: "https://example.com/r/1001".into(),
        version: 7,
        occurred_at: 1_760_000_000_000,
        occurred_assumed: true,
        received_at: 1_760_000_500_000,
        score: Some(3.0),
        scale_min: Some(0.0),
        scale_max: Some(10.0),
        contactable: Some(false),
        attributes: vec![
            ("order_value".into(), NewValue::Number(49.9)),
            ("ordered_at".into(), NewValue::Instant(1_759_990_000_000)),
            ("gift".into(), NewValue::Truth(false)),
            text("coupon", "SPRING"),
        ],
        customer: NewCustomer {
            id: "c-1".into(),
            key_kind: "account".into(),
            name: "Anna".into(),
            email: "anna@example.com".into(),
            account: "ACME".into(),
            segment: "smb".into(),
            tier: "gold".into(),
            region: "EMEA".into(),
            country: "DE".into(),
            language: "de".into(),
            owner: "ben".into(),
            arr: Some(1200.5),
            tenure_days: Some(0.0),
            attributes: vec![("newsletter".into(), NewValue::Truth(true))],
        },
    }
}

fn few() -> NewItem {
    let contactable = Some(true);
    NewItem { external_id: "R-1002".into(), survey: "csat".into(), score: Some(0.0), contactable, ..NewItem::default() }
}

#[test]
fn poll_result() {
    let p = PollResult {
        items: vec![few(), full()],
        rejects: vec![Reject {
            position: "line 121".into(),
            code: "bad_score".into(),
            message: "found eleven, expected 0 to 10".into(),
            raw: "R-9;eleven".into(),
        }],
        notices: vec![Notice {
            position: "line 1".into(),
            code: "damaged_ids".into(),
            message: "ids such as 5.7E+17".into(),
        }],
        next: b"line 122".to_vec(),
        batch: "surveys.csv".into(),
        more: true,
        wait_ms: 60_000,
    };
    assert_eq!(written(|w| write_poll_result(w, &p)), vector("poll-result"));
    assert_eq!(written(|w| write_poll_result(w, &PollResult::default())), vector("poll-result-none"));
    let p = PollResult { items: vec![NewItem::default(); 65536], ..p };
    assert_eq!(refusal(&written(|w| write_poll_result(w, &p))).code, "too_large");
}

fn refusal(frame: &[u8]) -> Failure {
    Items::open(frame).err().unwrap()
}

#[test]
fn receive_result() {
    let rejects = vec![Reject { code: "bad_body".into(), message: "no JSON".into(), ..Reject::default() }];
    let p = ReceiveResult { items: vec![few()], rejects };
    assert_eq!(written(|w| write_receive_result(w, &p)), vector("receive-result"));
}

#[test]
fn failures() {
    let f = Failure::fatal("survey 12 is gone").code("no_such_survey");
    assert_eq!(written(|w| w.failure(&f)), vector("failure"));
    let f = Failure::retry("zu viele Anfragen – später").after(30_000);
    assert_eq!(written(|w| w.failure(&f)), vector("failure-retry"));
    assert_eq!(refusal(&vector("failure-retry")), f);
    assert_eq!(written(|w| w.ok()), vector("ok"));
}

#[test]
fn items() {
    let frame = written(|w| {
        w.begin(crate::frame::ITEMS, 32, 3, crate::item::SIZE);
        w.u64(24, 1_767_225_600_000);
        write_items(w, 32, &[full(), few(), NewItem::default()]);
        w.end();
    });
    assert_eq!(frame, vector("items"));
}

#[test]
fn results() {
    let mut r = Results::default();
    r.begin(1);
    r.item(0, |l| {
        l.theme("packaging", 0.5).evidence(4, 7);
        Ok(())
    });
    r.w.end();
    let answers = testing::read(&r.w.buf).unwrap();
    assert_eq!(answers, testing::read(&vector("results-one")).unwrap());
    let answers = testing::read(&vector("results")).unwrap();
    assert_eq!(answers, testing::read(&vector("newer-results")).unwrap());
    assert_eq!(answers[2].error, Some(Failure::fatal("the text is damaged").code("bad_text").after(1500)));
    assert_eq!(answers[0].themes[0].evidence, [(4, 13), (20, 24)]);
}

#[test]
fn http() {
    let q = Request {
        method: "POST".into(),
        url: "https://hooks.example.com/x".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: b"{}".to_vec(),
        auth_scheme: "bearer".into(),
        auth_secret: "token".into(),
        sign_scheme: "standard-webhooks".into(),
        sign_secret: "hook".into(),
        sign_id: "msg_1".into(),
        sign_timestamp: 1_767_225_000_000,
    };
    assert_eq!(written(|w| write_request(w, &q)), vector("http-request"));
    let p = parse_response(&vector("http-response")).unwrap();
    assert_eq!((p.status, p.headers, p.body), (202, vec![("retry-after".into(), "1".into())], b"accepted".to_vec()));
}

#[test]
fn files() {
    let all = parse_files(&vector("files")).unwrap();
    let first = File { name: "surveys.csv".into(), size: 1234, modified: 1_767_000_000_000, identity: 42, id: 7 };
    assert_eq!(all[0], first);
    assert_eq!((all[1].name.as_str(), all.len()), ("old/2025.csv", 2));
}

#[test]
fn malformed_frames_are_refused() {
    for (name, reason) in [
        ("confidence-not-a-number", "found a number that is not finite"),
        ("list-outside", "found a list that leaves the frame or has elements of a size that cannot be"),
    ] {
        let name = format!("malformed/{}", name);
        assert_eq!(testing::read(&vector(&name)).unwrap_err(), Malformed(reason).into(), "{}", name);
    }
    assert_eq!(parse_files(&vector("malformed/file-size-negative")).unwrap_err().message, "found a negative size");
}
