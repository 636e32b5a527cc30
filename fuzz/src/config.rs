//! The bodies of the configuration targets: TOML files and URLs.

use wharf::config::{ListenerConfig, Problems, ServerConfig, plan};

/// What reads is legal, and reads the same when it is written out; what does not says why.
pub(crate) fn config_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let config = match ServerConfig::from_toml(text) {
        Ok(config) => config,
        Err(problems) => return explained(&problems),
    };
    assert_eq!(config.check(), Ok(()));
    assert!(plan(&config, &config).is_empty());
    // TOML has no integers above `i64::MAX`: nor had the text.
    let table = toml::Table::try_from(&config).expect("what was read from TOML can be written");
    assert_eq!(ServerConfig::from_table(table), Ok(config));
}

/// What reads is legal; what does not says why.
pub(crate) fn config_url(data: &[u8]) {
    let Ok(url) = std::str::from_utf8(data) else {
        return;
    };
    match ListenerConfig::from_url(url) {
        Ok(listener) => assert_eq!(listener.check("fuzz"), Ok(())),
        Err(problems) => explained(&problems),
    }
}

/// Each problem is one line that says where and what.
fn explained(problems: &Problems) {
    assert!(!problems.0.is_empty());
    for problem in &problems.0 {
        assert!(
            !problem.key.is_empty() && !problem.allowed.is_empty(),
            "{problem:?}"
        );
        assert!(!problem.to_string().contains('\n'), "{problem:?}");
    }
}
