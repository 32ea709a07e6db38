//! Log lines: [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and [`error!`](crate::error), which take
//! what `format!` takes. Lines are capped at 4 KiB and rate limited by the host.

pub use crate::bindings::imports::baremetal::deploy::log::{Level, write};

/// Makes a panic's message a log line. Without it a panic is only a trap; call it first in a function that may panic.
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| write(Level::Error, &panic.to_string())));
}

macro_rules! level_macro {
    ($d:tt $name:ident $level:ident $doc:literal) => {
        #[doc = $doc]
        #[macro_export]
        macro_rules! $name {
                                    ($d($d arg:tt)*) => { $crate::log::write($crate::log::Level::$level, &::std::format!($d($d arg)*)) };
                                }
    };
}

level_macro!($ debug Debug "Writes a log line for the driver's developer.");
level_macro!($ info Info "Writes a log line for the operator.");
level_macro!($ warn Warn "Writes a log line about something odd that the driver copes with.");
level_macro!($ error Error "Writes a log line about something that failed.");
