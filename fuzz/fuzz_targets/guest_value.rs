//! Whatever a guest or an operator says is taken within bounds or refused, and shows no control characters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wrought_drivers::property::guest_value_is_tamed;

fuzz_target!(|text: &str| guest_value_is_tamed(text));
