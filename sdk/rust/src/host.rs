//! What the host offers. Outside the sandbox, as in unit tests, log lines go to standard error and nothing else is
//! granted.

use crate::connect::headers;
use crate::frame::{Check, Fields, Frame, List, Writer, FILES, HTTP_REQUEST, HTTP_RESPONSE};
use crate::{Failure, Time};

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Of use when looking for a mistake.
    Debug,
    /// Of use in general.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something has failed.
    Error,
}

#[cfg(target_arch = "wasm32")]
mod imports {
    #[link(wasm_import_module = "closedloop")]
    extern "C" {
        fn log(level: u32, p: *const u8, n: usize);
        fn now() -> i64;
        fn file_stat(id: i32, p: *mut u8, cap: usize) -> i32;
        fn file_read(id: i32, offset: i64, p: *mut u8, cap: usize) -> i32;
        fn http(rp: *const u8, rn: usize, p: *mut u8, cap: usize) -> i64;
        fn kv_get(kp: *const u8, kn: usize, p: *mut u8, cap: usize) -> i32;
        fn kv_put(kp: *const u8, kn: usize, p: *const u8, n: usize) -> i32;
    }

    // Safety: the host reads and writes only what the slices cover.
    pub fn write_log(level: u32, text: &str) {
        unsafe { log(level, text.as_ptr(), text.len()) }
    }
    pub fn clock() -> i64 {
        unsafe { now() }
    }
    pub fn stat(id: i32, to: &mut [u8]) -> i32 {
        unsafe { file_stat(id, to.as_mut_ptr(), to.len()) }
    }
    pub fn read(id: i32, offset: i64, to: &mut [u8]) -> i32 {
        unsafe { file_read(id, offset, to.as_mut_ptr(), to.len()) }
    }
    pub fn send(request: &[u8], to: &mut [u8]) -> i64 {
        unsafe { http(request.as_ptr(), request.len(), to.as_mut_ptr(), to.len()) }
    }
    pub fn get(key: &[u8], to: &mut [u8]) -> i32 {
        unsafe { kv_get(key.as_ptr(), key.len(), to.as_mut_ptr(), to.len()) }
    }
    pub fn put(key: &[u8], value: &[u8]) -> i32 {
        unsafe { kv_put(key.as_ptr(), key.len(), value.as_ptr(), value.len()) }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod imports {
    pub fn write_log(level: u32, text: &str) {
        eprintln!("log {}: {}", level, text);
    }
    pub fn clock() -> i64 {
        0
    }
    pub fn stat(_: i32, _: &mut [u8]) -> i32 {
        -2
    }
    pub fn read(_: i32, _: i64, _: &mut [u8]) -> i32 {
        -2
    }
    pub fn send(_: &[u8], to: &mut [u8]) -> i64 {
        let mut w = crate::frame::Writer::default();
        w.failure(&crate::Failure::fatal("there is no host that sends requests here"));
        to[..w.buf.len()].copy_from_slice(&w.buf);
        w.buf.len() as i64
    }
    pub fn get(_: &[u8], _: &mut [u8]) -> i32 {
        -2
    }
    pub fn put(_: &[u8], _: &[u8]) -> i32 {
        -2
    }
}

/// Writes to the engine's log, if the program grants `log`.
pub fn log(level: Level, message: &str) {
    imports::write_log(level as u32, message);
}

/// The engine's time. Unless the program grants `clock`, it is the time of the call that is being served.
pub fn now() -> Time {
    imports::clock()
}

/// A file that the program grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The name, relative to the granted file or folder, with slashes.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// When it was last changed.
    pub modified: Time,
    /// Changes when another file takes the name.
    pub identity: u64,
    /// What [`read_file`] takes.
    pub id: i32,
}

pub(crate) fn check_files(c: &mut Check, list: List) {
    for i in 0..list.count {
        let f = list.get(i);
        c.bytes(&f, 0);
        c.size(&f, 8);
        c.time(&f, 16);
    }
}

pub(crate) fn file(f: Fields) -> File {
    File { name: f.str(0).into(), size: f.i64(8), modified: f.i64(16), identity: f.u64(24), id: f.u32(32) as i32 }
}

/// The files that the program grants, as they are now.
pub fn files() -> Result<Vec<File>, Failure> {
    let mut buf = vec![0; 4 << 10];
    loop {
        let n = imports::stat(-1, &mut buf);
        let n = usize::try_from(n).map_err(|_| file_failure(n))?;
        if n <= buf.len() {
            return parse_files(&buf[..n]);
        }
        buf.resize(n, 0);
    }
}

pub(crate) fn parse_files(b: &[u8]) -> Result<Vec<File>, Failure> {
    let f = Frame::open(b, FILES)?;
    let mut c = Check::new(&f);
    check_files(&mut c, f.records);
    c.done()?;
    Ok((0..f.records.count).map(|i| file(f.records.get(i))).collect())
}

/// Reads bytes of a granted file from the offset and returns their number: 0 at the end of the file. Fewer than fit
/// into `to` do not mean the end.
pub fn read_file(id: i32, offset: u64, to: &mut [u8]) -> Result<usize, Failure> {
    let n = imports::read(id, offset as i64, to);
    usize::try_from(n).map_err(|_| file_failure(n))
}

fn file_failure(code: i32) -> Failure {
    match code {
        -2 => Failure::fatal("the program does not grant \"file\" to this plugin").code("not_granted"),
        -3 => Failure::retry("the file is not among the granted files").code("gone"),
        -4 => Failure::fatal("a file was asked for with a wrong argument").code("bad_argument"),
        _ => Failure::retry("the file cannot be read").code("file"),
    }
}

/// A request that the host makes. The host adds what needs a secret; the plugin never sees it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The method, such as `POST`.
    pub method: String,
    /// The address.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Vec<u8>,
    /// `bearer`, `basic`, `url` (the secret is the URL, and `url` is empty), or empty.
    pub auth_scheme: String,
    /// The name of the program's secret for it.
    pub auth_secret: String,
    /// `standard-webhooks`, or empty.
    pub sign_scheme: String,
    /// The name of the program's secret for it.
    pub sign_secret: String,
    /// The message's id, part of what is signed.
    pub sign_id: String,
    /// Part of what is signed, at the second; 0 means the host's time.
    pub sign_timestamp: Time,
}

/// The answer to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200.
    pub status: u32,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// What came back.
    pub body: Vec<u8>,
}

/// Makes a request to a host that the program grants. An error means that there is no response.
pub fn http(request: &Request) -> Result<Response, Failure> {
    let mut w = Writer::default();
    write_request(&mut w, request);
    let mut buf = vec![0; 16 << 10];
    let mut n = imports::send(&w.buf, &mut buf) as u32 as usize;
    if n > buf.len() {
        buf.resize(n, 0); // the host keeps the answer until it is fetched
        n = imports::send(&[], &mut buf) as u32 as usize;
    }
    parse_response(&buf[..n.min(buf.len())])
}

pub(crate) fn write_request(w: &mut Writer, q: &Request) {
    w.begin(HTTP_REQUEST, 96, q.headers.len(), 16);
    w.bytes(24, q.url.as_bytes());
    w.bytes(32, q.method.as_bytes());
    w.bytes(40, &q.body);
    w.bytes(48, q.auth_scheme.as_bytes());
    w.bytes(56, q.auth_secret.as_bytes());
    w.bytes(64, q.sign_scheme.as_bytes());
    w.bytes(72, q.sign_secret.as_bytes());
    w.bytes(80, q.sign_id.as_bytes());
    w.u64(88, q.sign_timestamp as u64);
    let headers = if w.overflowed() { &[] } else { &q.headers[..] };
    for (i, (name, value)) in headers.iter().enumerate() {
        w.bytes(96 + 16 * i, name.as_bytes());
        w.bytes(96 + 16 * i + 8, value.as_bytes());
    }
    w.end();
}

pub(crate) fn parse_response(b: &[u8]) -> Result<Response, Failure> {
    let f = Frame::open(b, HTTP_RESPONSE)?;
    let mut c = Check::new(&f);
    c.bytes(&f.head, 32);
    let headers = headers(&mut c, f.records);
    c.done()?;
    Ok(Response { status: f.head.u32(24), headers, body: f.head.bytes(32).to_vec() })
}

/// The value that the plugin keeps under a key of 1 to 512 bytes, in the engine's store.
pub fn kv_get(key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let mut buf = vec![0; 1 << 10];
    loop {
        let n = imports::get(key, &mut buf);
        if n == -3 {
            return Ok(None);
        }
        let n = usize::try_from(n).map_err(|_| kv_failure(n))?;
        if n <= buf.len() {
            buf.truncate(n);
            return Ok(Some(buf));
        }
        buf.resize(n, 0);
    }
}

/// Keeps a value of at most 65536 bytes under a key; an empty one removes the key. It is kept when the call succeeds.
pub fn kv_put(key: &[u8], value: &[u8]) -> Result<(), Failure> {
    match imports::put(key, value) {
        0 => Ok(()),
        n => Err(kv_failure(n)),
    }
}

fn kv_failure(code: i32) -> Failure {
    match code {
        -2 => Failure::fatal("the program does not grant \"kv\" to this plugin").code("not_granted"),
        -4 => Failure::fatal("a key has 1 to 512 bytes, a value at most 65536").code("bad_argument"),
        -5 => Failure::fatal("the plugin keeps as much as the program allows").code("kv_full"),
        _ => Failure::retry("the store cannot be used").code("kv"),
    }
}
