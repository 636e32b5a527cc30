use super::*;

fn read(text: &str) -> ServerConfig {
    ServerConfig::from_toml(text).unwrap()
}

const OLD: &str = "
[listeners.a]
bind = ['127.0.0.1:1']
[listeners.b]
bind = ['127.0.0.1:2']
";

#[test]
fn nothing_changes_between_equals() {
    let plan = plan(&read(OLD), &read(OLD));
    assert!(plan.is_empty());
    assert_eq!(plan.needs("a"), None);
    assert_eq!(plan.to_string(), "nothing changes");
}

#[test]
fn a_plan_is_a_table() {
    let new = "
limits.max-connections = 5
[listeners.a]
bind = ['127.0.0.1:1']
access = ['deny all']
rates.accept = { per-second = 1, burst = 2 }
accept.backlog = 9
[listeners.c]
bind = ['127.0.0.1:3']
";
    let plan = plan(&read(OLD), &read(new));
    assert_eq!(plan.needs("a"), Some(Change::Rebind));
    assert_eq!(plan.needs("c"), None);
    let table = [
        "remove   b",
        "add      c",
        "live     limits.max-connections  100000 -> 5",
        "live     a.access                [] -> [\"deny all\"]",
        "rebind   a.accept.backlog        1024 -> 9",
        "live     a.rates.accept          null -> {\"burst\":2,\"per-second\":1}",
    ];
    assert_eq!(plan.to_string(), table.join("\n"));
}

#[test]
fn keys_are_compared_and_not_shown() {
    let tls = |key: &str| {
        let pem = format!("certificates = [{{ cert = 'c', key = {{ pem = '{key}' }} }}]");
        read(&format!(
            "[listeners.a]\ntransport = 'tls'\nbind = ['127.0.0.1:1']\ntls.{pem}"
        ))
    };
    let plan = plan(&tls("secret-one"), &tls("secret-two"));
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(plan.changes[0].key, "tls.certificates");
    let all = format!("{plan} {plan:?}");
    assert!(!all.contains("secret"), "{all}");
}
