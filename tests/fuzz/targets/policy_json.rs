//! `make fuzz`: looks for bytes of which `lictor_fuzz::policy_json` does not hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lictor_fuzz::policy_json(bytes));
