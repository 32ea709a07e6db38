//! Whatever is uploaded is judged up to the compiler, and refused in words where it is no good.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wrought_drivers::property::{component_is_judged, upload_is_judged};

fuzz_target!(|bytes: &[u8]| {
    upload_is_judged(bytes);
    component_is_judged(bytes);
});
