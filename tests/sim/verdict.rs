//! What counts as a bug that was found: a promise that the broker broke, or an assertion of the broker itself. A panic of this
//! harness is neither, and fails the test that meets it.

use crate::seed::{self, Outcome};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock};

/// What a broken promise panics with.
struct Violation(String);

/// A promise was broken.
pub fn violated(text: String) -> ! {
    panic::panic_any(Violation(text))
}

/// Judges the broker: what has to be true, and what to say if it is not.
macro_rules! hold {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            $crate::verdict::violated(format!($($text)+));
        }
    };
}

/// Why a seed ended before its time.
#[derive(Clone, Debug)]
pub enum Failure {
    /// A promise was broken: a check of this harness found it.
    Promise(String),
    /// The broker's own code panicked: its assertions found it.
    Assertion(String),
    /// The harness or the simulated devices panicked, which says nothing of the broker.
    Harness(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (who, text) = match self {
            Self::Promise(text) => ("broken promise", text),
            Self::Assertion(text) => ("assertion of the broker", text),
            Self::Harness(text) => ("panic of the harness", text),
        };
        write!(f, "{who}: {}", text.lines().next().unwrap_or_default())
    }
}

thread_local! {
    /// The first panic of this thread since it was last looked at.
    static FIRST_PANIC: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// Notes the place of each panic, which its payload does not tell.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let failure = match info.payload().downcast_ref::<Violation>() {
                Some(Violation(text)) => {
                    eprintln!("VIOLATED: {text}");
                    Failure::Promise(text.clone())
                }
                None => {
                    before(info);
                    let place = info.location().map_or_else(|| "nowhere".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
                    let text = format!("{place}: {}", info.payload_as_str().unwrap_or("no text"));
                    let of_broker = place.starts_with("src/") && !place.starts_with("src/io/sim/");
                    if of_broker { Failure::Assertion(text) } else { Failure::Harness(text) }
                }
            };
            FIRST_PANIC.with(|first| first.borrow_mut().get_or_insert(failure).clone());
        }));
    });
}

/// Runs a seed for a virtual minute and judges it.
///
/// # Errors
/// What ended it early.
pub fn judge(seed: u64, planted: Option<&'static str>) -> Result<Outcome, Failure> {
    judge_run(|| seed::run(seed, planted, crate::MINUTE))
}

/// Judges whatever runs a world.
///
/// # Errors
/// What ended it early.
pub fn judge_run<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    watch_panics();
    FIRST_PANIC.take();
    let ran = panic::catch_unwind(AssertUnwindSafe(run));
    ran.map_err(|_| FIRST_PANIC.take().unwrap_or_else(|| Failure::Harness("a panic without a place".to_owned())))
}

/// Runs a seed without any bug; each only once, whoever asks.
pub fn judge_clean(seed: u64) -> Arc<OnceLock<Result<Outcome, Failure>>> {
    static SEEDS: Mutex<BTreeMap<u64, Arc<OnceLock<Result<Outcome, Failure>>>>> = Mutex::new(BTreeMap::new());
    let slot = SEEDS.lock().expect("nobody panics here").entry(seed).or_default().clone();
    slot.get_or_init(|| judge(seed, None));
    slot
}

/// Does `work` for each item, on two threads; the results in the order of the items. A world lives on one thread.
pub fn on_two_threads<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(item);
                    results.lock().expect("nobody panics here").insert(index, result);
                }
            });
        }
    });
    results.into_inner().expect("nobody panics here").into_values().collect()
}
