//! What the exported functions do. [`plugin!`](crate::plugin) makes them; nothing here is called by hand.

use std::cell::UnsafeCell;

use crate::connect::{read_deliver, read_poll, read_receive, write_poll_result, write_receive_result};
use crate::frame::{Check, Frame, CONFIGURE};
use crate::host::{check_files, file};
use crate::item::{Item, Items};
use crate::labels::Results;
use crate::{Categorizer, Config, Deliverer, Failure, Json, Plugin, Poller, Receiver};

/// The contract version that is spoken: 1.0.
pub const ABI: u32 = 1 << 16;

/// The plugin's one instance in this sandbox.
pub struct Guest<T>(UnsafeCell<State<T>>);

// Safety: a sandbox has one thread, and the host does not call a guest that is in a call.
unsafe impl<T> Sync for Guest<T> {}

struct State<T> {
    plugin: Option<T>,
    input: Vec<u8>,
    out: Results,
}

impl<T> State<T> {
    /// Runs a call on the first `n` bytes of the input and returns the answer.
    fn answer(&mut self, n: u32, call: impl FnOnce(&mut T, &[u8], &mut Results) -> Result<(), Failure>) -> u64 {
        let State { plugin, input, out } = self;
        let frame = &input[..input.len().min(n as usize)];
        let done = match plugin {
            Some(p) => call(p, frame, out),
            None => Err(Failure::fatal("the plugin was not configured").code("not_configured")),
        };
        self.finish(done)
    }

    fn finish(&mut self, done: Result<(), Failure>) -> u64 {
        let w = &mut self.out.w;
        if let Err(f) = done {
            w.failure(&f);
        }
        (w.buf.as_ptr() as usize as u64) << 32 | w.buf.len() as u64
    }
}

pub(crate) fn configure<T: Plugin>(frame: &[u8]) -> Result<T, Failure> {
    let f = Frame::open(frame, CONFIGURE)?;
    let mut c = Check::new(&f);
    c.time(&f.head, 24);
    c.strings(&f.head, 32, 48);
    check_files(&mut c, f.records);
    c.done()?;
    let h = f.head;
    T::new(&Config {
        now: h.i64(24),
        settings: Json::of(h.bytes(32)),
        instance: h.str(40),
        contract: h.u32(48),
        grants: h.u32(52),
        files: (0..f.records.count).map(|i| file(f.records.get(i))).collect(),
    })
}

pub(crate) fn categorize<T: Categorizer>(plugin: &mut T, frame: &[u8], out: &mut Results) -> Result<(), Failure> {
    let items = Items::open(frame)?;
    plugin.begin(items.now)?;
    out.begin(items.list.count);
    for i in 0..items.list.count {
        out.item(i, |labels| plugin.categorize(&Item(items.list.get(i)), labels));
    }
    out.w.end();
    Ok(())
}

impl<T> Guest<T> {
    /// A guest that has no instance yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Guest<T> {
        let out = Results::new();
        Guest(UnsafeCell::new(State { plugin: None, input: Vec::new(), out }))
    }

    #[allow(clippy::mut_from_ref)]
    fn state(&self) -> &mut State<T> {
        // Safety: as for Sync, and every exported function takes it once.
        unsafe { &mut *self.0.get() }
    }

    /// `cl_alloc`
    pub fn alloc(&self, len: u32) -> u32 {
        let input = &mut self.state().input;
        if input.len() < len as usize {
            *input = vec![0; len as usize];
        }
        input.as_mut_ptr() as usize as u32
    }
}

impl<T: Plugin> Guest<T> {
    /// `cl_configure`
    pub fn configure(&self, len: u32) -> u64 {
        #[cfg(target_arch = "wasm32")]
        std::panic::set_hook(Box::new(|info| crate::log(crate::Level::Error, &info.to_string())));
        let state = self.state();
        let made = configure(&state.input[..state.input.len().min(len as usize)]);
        state.out.w.ok();
        let done = made.map(|p| state.plugin = Some(p));
        state.finish(done)
    }
}

impl<T: Categorizer> Guest<T> {
    /// `cl_categorize`
    pub fn categorize(&self, len: u32) -> u64 {
        self.state().answer(len, categorize)
    }
}

impl<T: Poller> Guest<T> {
    /// `cl_poll`
    pub fn poll(&self, len: u32) -> u64 {
        self.state().answer(len, |p, frame, out| {
            write_poll_result(&mut out.w, &p.poll(&read_poll(frame)?)?);
            Ok(())
        })
    }
}

impl<T: Receiver> Guest<T> {
    /// `cl_receive`
    pub fn receive(&self, len: u32) -> u64 {
        self.state().answer(len, |p, frame, out| {
            write_receive_result(&mut out.w, &p.receive(&read_receive(frame)?)?);
            Ok(())
        })
    }
}

impl<T: Deliverer> Guest<T> {
    /// `cl_deliver`
    pub fn deliver(&self, len: u32) -> u64 {
        self.state().answer(len, |p, frame, out| {
            p.deliver(&read_deliver(frame)?)?;
            out.w.ok();
            Ok(())
        })
    }
}

/// Makes the module's exports for a plugin: its type, and the abilities that it has.
///
/// ```ignore
/// closedloop::plugin!(Shouting: categorize);
/// ```
#[macro_export]
macro_rules! plugin {
    ($plugin:ty: $($ability:ident),+ $(,)?) => {
        const _: () = {
            static GUEST: $crate::guest::Guest<$plugin> = $crate::guest::Guest::new();
            #[no_mangle]
            pub extern "C" fn cl_abi() -> u32 {
                $crate::guest::ABI
            }
            #[no_mangle]
            pub extern "C" fn cl_alloc(len: u32) -> u32 {
                GUEST.alloc(len)
            }
            #[no_mangle]
            pub extern "C" fn cl_configure(len: u32) -> u64 {
                GUEST.configure(len)
            }
            $($crate::plugin!(@$ability GUEST);)+
        };
    };
    (@categorize $guest:ident) => {
        #[no_mangle]
        pub extern "C" fn cl_categorize(len: u32) -> u64 {
            $guest.categorize(len)
        }
    };
    (@poll $guest:ident) => {
        #[no_mangle]
        pub extern "C" fn cl_poll(len: u32) -> u64 {
            $guest.poll(len)
        }
    };
    (@receive $guest:ident) => {
        #[no_mangle]
        pub extern "C" fn cl_receive(len: u32) -> u64 {
            $guest.receive(len)
        }
    };
    (@deliver $guest:ident) => {
        #[no_mangle]
        pub extern "C" fn cl_deliver(len: u32) -> u64 {
            $guest.deliver(len)
        }
    };
}
