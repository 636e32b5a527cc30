use super::*;

#[test]
fn durations_read() {
    for (text, milliseconds) in [
        ("250ms", 250),
        ("90s", 90_000),
        ("1h30m", 5_400_000),
        ("2d", 172_800_000),
        ("1s500ms", 1500),
        ("0s", 0),
    ] {
        assert_eq!(
            parse_duration(text),
            Ok(Duration::from_millis(milliseconds)),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_duration_is_refused() {
    let huge = "99999999999999999999s";
    for text in [
        "",
        "10",
        "m",
        "10x",
        "1m1h",
        "1m1m",
        "-1s",
        "1.5h",
        "10 m",
        "1é",
        huge,
        "999999999999999d",
    ] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn sizes_read() {
    for (text, bytes) in [
        ("65536", 65_536),
        ("64KiB", 65_536),
        ("4MiB", 4 << 20),
        ("1GiB", 1 << 30),
    ] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    for text in ["", "KiB", "4MB", "4 MiB", "-1", "99999999999GiB", "1é"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for milliseconds in [0, 1, 999, 1000, 59_000, 60_000, 5_400_000, 86_400_000] {
        let given = Duration::from_millis(milliseconds);
        assert_eq!(parse_duration(&format_duration(given)), Ok(given));
    }
    for bytes in [0, 1, 1023, 1024, 1025, 3 << 20, 5 << 30] {
        assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
    }
}

#[test]
fn modes_are_octal() {
    assert_eq!(parse_mode("0660"), Ok(0o660));
    for text in ["", "0888", "1777", "rw", "-1"] {
        assert!(parse_mode(text).is_err(), "{text}");
    }
}
