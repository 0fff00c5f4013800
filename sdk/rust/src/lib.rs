//! Plugins for Closedloop in Rust, without dependencies.
//!
//! A plugin is a type that is made from its settings and has one or more abilities. This one finds shouting:
//!
//! ```
//! use closedloop::{Categorizer, Config, Failure, Item, Labels, Plugin};
//!
//! struct Shouting {
//!     least: usize, // letters
//! }
//!
//! impl Plugin for Shouting {
//!     fn new(config: &Config) -> Result<Self, Failure> {
//!         Ok(Shouting { least: config.settings.get("least").number().unwrap_or(3.0) as usize })
//!     }
//! }
//!
//! impl Categorizer for Shouting {
//!     fn categorize(&mut self, item: &Item, labels: &mut Labels) -> Result<(), Failure> {
//!         let text = item.text();
//!         if text.len() >= self.least && text.to_uppercase() == text {
//!             labels.theme("tone/shouting", 0.9).evidence(0, text.len()).sentiment(-0.5);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! closedloop::plugin!(Shouting: categorize);
//! ```
//!
//! Build it as a `cdylib` for `wasm32-unknown-unknown`, beside a `plugin.yaml` that says what it is;
//! `closedloop plugin build` does both and puts the manifest into the module.
//!
//! What holds: a malformed frame is answered with a failure and never with a panic; items are views of the host's
//! frame, so reading them copies nothing; buffers are kept, so a call allocates nothing of its own once they have grown.
//! A plugin that panics ends its instance, and the message goes to the log.

#![warn(missing_docs)]

mod connect;
mod frame;
#[doc(hidden)]
pub mod guest;
mod host;
mod item;
mod json;
mod labels;
pub mod testing;
#[cfg(test)]
#[path = "../vectors.rs"]
mod vectors;

pub use connect::{
    Message, NewCustomer, NewItem, NewValue, Notice, PollRequest, PollResult, ReceiveRequest, ReceiveResult, Reject,
};
pub use host::{files, http, kv_get, kv_put, log, now, read_file, File, Level, Request, Response};
pub use item::{Attributes, Customer, Item, Value};
pub use json::Json;
pub use labels::{Labels, Theme};

/// An instant: milliseconds since 1970-01-01T00:00:00Z; 0 means not given.
pub type Time = i64;

/// A plugin: what is made from settings.
pub trait Plugin: Sized {
    /// Makes an instance. It is called once, before any other call. The engine may make several instances of a plugin.
    fn new(config: &Config) -> Result<Self, Failure>;
}

/// What an instance is made from.
pub struct Config<'a> {
    /// What the guest should take as now.
    pub now: Time,
    /// The settings of the program, checked against the manifest and completed with its defaults.
    pub settings: Json<'a>,
    /// The plugin's id in the program.
    pub instance: &'a str,
    /// What the host speaks: major<<16 | minor.
    pub contract: u32,
    /// What the program grants: 1 log, 2 file, 4 http, 8 clock, 16 kv, 32 random.
    pub grants: u32,
    /// The files that the program grants.
    pub files: Vec<File>,
}

/// A plugin that labels items.
pub trait Categorizer: Plugin {
    /// Is called before the items of each call. An error fails the call as a whole.
    fn begin(&mut self, _now: Time) -> Result<(), Failure> {
        Ok(())
    }

    /// Says what an item means. An error is this item's alone. The answer must depend on the item alone, not on those
    /// before it.
    fn categorize(&mut self, item: &Item, labels: &mut Labels) -> Result<(), Failure>;
}

/// A connector that fetches feedback when asked.
pub trait Poller: Plugin {
    /// Returns what came after the checkpoint. It must not wait for feedback to arrive.
    fn poll(&mut self, request: &PollRequest) -> Result<PollResult, Failure>;
}

/// A connector that is handed what others send.
pub trait Receiver: Plugin {
    /// Returns what a request holds.
    fn receive(&mut self, request: &ReceiveRequest) -> Result<ReceiveResult, Failure>;
}

/// A plugin that sends messages out.
pub trait Deliverer: Plugin {
    /// Returns once the destination has the message. A retryable error means to be called again with the same key.
    fn deliver(&mut self, message: &Message) -> Result<(), Failure>;
}

/// An error that says whether trying again can help.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Trying again will not help.
    pub fatal: bool,
    /// Short and stable, such as `bad_score`; may be empty.
    pub code: String,
    /// For people.
    pub message: String,
    /// When to try again, in milliseconds from now; 0 leaves it to the host.
    pub after_ms: u64,
}

impl Failure {
    /// An error that will not go away by trying again.
    pub fn fatal(message: impl Into<String>) -> Failure {
        Failure { fatal: true, message: message.into(), ..Failure::default() }
    }

    /// An error that may pass.
    pub fn retry(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), ..Failure::default() }
    }

    /// The same with a code.
    pub fn code(self, code: impl Into<String>) -> Failure {
        Failure { code: code.into(), ..self }
    }

    /// The same, to be tried again after so many milliseconds.
    pub fn after(self, ms: u64) -> Failure {
        Failure { after_ms: ms, ..self }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.code.as_str() {
            "" => f.write_str(&self.message),
            code => write!(f, "{}: {}", code, self.message),
        }
    }
}

impl std::error::Error for Failure {}
