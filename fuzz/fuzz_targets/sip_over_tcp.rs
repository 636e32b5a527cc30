#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wharf_fuzz::run("sip_over_tcp", data));
