#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate_json_fuzz::check(data));
