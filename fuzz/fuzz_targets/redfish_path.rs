//! No path that is accepted leads, however a server reads it, out of what belongs to the node.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wrought_hardware::redfish::guest::property::path_stays_inside;

fuzz_target!(|text: &str| path_stays_inside(text));
