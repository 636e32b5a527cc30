//! The range of each option by itself.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Checker;
use crate::config::units::{format_duration, format_size};
use crate::config::{
    Buffers, HealthOptions, Limits, ListenerConfig, OnFull, Rate, ServerConfig, SocketOptions,
    Timeouts,
};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);
pub(super) const YEAR: Duration = Duration::from_hours(24 * 365);
/// The longest keep-alive time that Linux takes (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL`).
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);
/// What Linux keeps in an `int`.
const INT: u32 = i32::MAX as u32;
/// The longest network device name (`IFNAMSIZ` less the final zero).
const LONGEST_DEVICE: usize = 15;
/// The longest `limits.on-full` reply: it fits the send buffer of any socket.
const LONGEST_REPLY: usize = 1024;

pub(super) fn server(config: &super::ServerConfig, checker: &mut Checker<'_>) {
    let ServerConfig { limits, health, .. } = config;
    checker.size("limits.memory", limits.memory, 4 * KIB..=u64::MAX >> 1);
    health_options(health, checker);
}

fn health_options(health: &HealthOptions, checker: &mut Checker<'_>) {
    checker.time("health.window", Some(health.window), SECOND..=HOUR);
    for (key, share) in [
        ("health.degraded", health.degraded),
        ("health.unhealthy", health.unhealthy),
        ("health.alarm-connections", health.alarm_connections),
    ] {
        checker.range(key, share, 0.0..=1.0);
    }
    if health.degraded > health.unhealthy {
        let allowed = format!(
            "expected no more than health.unhealthy, {}",
            health.unhealthy
        );
        let advice = "A server is degraded before it is unhealthy.";
        checker.problem("health.degraded", Some(health.degraded), &allowed, advice);
    }
    let attack = health.attack_per_second;
    checker.expect(
        attack.is_finite() && attack > 0.0,
        "health.attack-per-second",
        attack,
        "expected a number above 0",
        "",
    );
    checker.time(
        "health.recover-after",
        Some(health.recover_after),
        Duration::ZERO..=DAY,
    );
    checker.time(
        "health.alarm-cooldown",
        Some(health.alarm_cooldown),
        Duration::ZERO..=DAY,
    );
}

pub(super) fn listener(config: &ListenerConfig, checker: &mut Checker<'_>) {
    checker.range("accept.acceptors", config.accept.acceptors, 1..=1024);
    checker.range("accept.backlog", config.accept.backlog, 1..=INT);
    checker.expect(
        config.unix.mode <= 0o777,
        "unix.mode",
        format_args!("{:04o}", config.unix.mode),
        "expected 0000 to 0777",
        "",
    );
    for (key, name) in [
        ("unix.owner", &config.unix.owner),
        ("unix.group", &config.unix.group),
    ] {
        let filled = name
            .as_ref()
            .is_none_or(|name| !name.is_empty() && !name.contains('\0'));
        checker.expect(
            filled,
            key,
            "\"\"",
            "expected a name or a number",
            "Leave it out for the process's own.",
        );
    }
    socket(&config.socket, checker);
    limits(&config.limits, checker);
    let rates = &config.rates;
    checker.rate("rates.accept", rates.accept);
    checker.rate("rates.accept-per-prefix", rates.accept_per_prefix);
    checker.rate("rates.datagrams-per-prefix", rates.datagrams_per_prefix);
    checker.rate("rates.bytes", rates.bytes);
    checker.rate("rates.messages", rates.messages);
    timeouts(&config.timeouts, checker);
    let Buffers {
        max_message, write, ..
    } = config.buffers;
    checker.size("buffers.max-message", Some(max_message), 16..=GIB);
    checker.size("buffers.write", Some(write), KIB..=GIB);
    let websocket = &config.websocket;
    checker.size(
        "websocket.max-head",
        Some(websocket.max_head),
        512..=64 * KIB,
    );
    checker.size("websocket.max-frame", Some(websocket.max_frame), 125..=GIB);
    checker.size(
        "websocket.max-message",
        Some(websocket.max_message),
        125..=GIB,
    );
    checker.time("websocket.ping", websocket.ping, MILLISECOND..=DAY);
    checker.time("tls.watch", config.tls.watch, MILLISECOND..=DAY);
}

fn socket(socket: &SocketOptions, checker: &mut Checker<'_>) {
    if let Some(probes) = socket.keepalive {
        let range = SECOND..=LONGEST_KEEPALIVE;
        checker.seconds("socket.keepalive.idle", Some(probes.idle), range.clone());
        checker.seconds("socket.keepalive.interval", Some(probes.interval), range);
        checker.range("socket.keepalive.count", probes.count, 1..=127);
    }
    // The kernel keeps milliseconds in an `int`: 24.8 days.
    let longest = 24 * DAY;
    checker.time(
        "socket.user-timeout",
        socket.user_timeout,
        MILLISECOND..=longest,
    );
    checker.size(
        "socket.receive-buffer",
        socket.receive_buffer,
        2 * KIB..=GIB,
    );
    checker.size("socket.send-buffer", socket.send_buffer, 4 * KIB..=GIB);
    checker.size("socket.notsent-lowat", socket.notsent_lowat, 1..=GIB);
    if let Some(waiting) = socket.fast_open {
        checker.range("socket.fast-open", waiting, 1..=INT);
    }
    checker.seconds(
        "socket.defer-accept",
        socket.defer_accept,
        SECOND..=LONGEST_KEEPALIVE,
    );
    if let Some(dscp) = socket.dscp {
        checker.range("socket.dscp", dscp, 0..=63);
    }
    if let Some(device) = &socket.device {
        let legal = |c: char| c.is_ascii_graphic() && c != '/' && c != ':';
        checker.expect(
            (1..=LONGEST_DEVICE).contains(&device.len()) && device.chars().all(legal),
            "socket.device",
            device,
            "expected the name of a network device, 1 to 15 characters",
            "`ip link` lists them.",
        );
    }
    checker.seconds(
        "socket.linger",
        socket.linger,
        Duration::ZERO..=Duration::from_secs(65_535),
    );
}

fn limits(limits: &Limits, checker: &mut Checker<'_>) {
    checker.range("limits.ipv4-prefix", limits.ipv4_prefix, 0..=32);
    checker.range("limits.ipv6-prefix", limits.ipv6_prefix, 0..=128);
    let slots = limits.prefix_slots;
    checker.expect(
        slots.is_power_of_two() && (16..=1 << 24).contains(&slots),
        "limits.prefix-slots",
        slots,
        "expected a power of two, 16 to 16777216",
        "",
    );
    if let OnFull::Reply(reply) = &limits.on_full {
        checker.expect(
            (1..=LONGEST_REPLY).contains(&reply.len()),
            "limits.on-full.reply",
            format_args!("{} bytes", reply.len()),
            "expected 1 to 1024 bytes",
            "To send nothing, use \"close\".",
        );
    }
}

fn timeouts(timeouts: &Timeouts, checker: &mut Checker<'_>) {
    for (key, time) in [
        ("timeouts.proxy-header", timeouts.proxy_header),
        ("timeouts.handshake", timeouts.handshake),
        ("timeouts.first-byte", timeouts.first_byte),
        ("timeouts.read-idle", timeouts.read_idle),
        ("timeouts.write", timeouts.write),
        ("timeouts.lifetime", timeouts.lifetime),
    ] {
        checker.time(key, time, MILLISECOND..=YEAR);
    }
    if let Some(rule) = timeouts.minimum_rate {
        let rate = rule.bytes_per_second;
        checker.range("timeouts.minimum-rate.bytes-per-second", rate, 1..=u32::MAX);
        let grace = Some(rule.grace);
        checker.time("timeouts.minimum-rate.grace", grace, MILLISECOND..=DAY);
    }
}

impl Checker<'_> {
    pub(super) fn range<T: PartialOrd + Display>(
        &mut self,
        key: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        let allowed = format!("expected {} to {}", range.start(), range.end());
        self.expect(range.contains(&value), key, value, &allowed, "");
    }

    fn rate(&mut self, key: &str, rate: Option<Rate>) {
        if let Some(rate) = rate {
            self.range(&format!("{key}.per-second"), rate.per_second, 1..=u32::MAX);
            self.range(&format!("{key}.burst"), rate.burst, 1..=u32::MAX);
        }
    }

    /// A time in whole milliseconds.
    pub(super) fn time(
        &mut self,
        key: &str,
        time: Option<Duration>,
        range: RangeInclusive<Duration>,
    ) {
        let Some(time) = time else { return };
        let (least, most) = (
            format_duration(*range.start()),
            format_duration(*range.end()),
        );
        let allowed = format!("expected {least} to {most}");
        let holds = range.contains(&time);
        self.expect(holds, key, format_duration(time), &allowed, "");
    }

    /// A time that the kernel keeps in seconds.
    fn seconds(&mut self, key: &str, time: Option<Duration>, range: RangeInclusive<Duration>) {
        let Some(given) = time else { return };
        let allowed = "expected whole seconds";
        self.expect(
            given.subsec_nanos() == 0,
            key,
            format_duration(given),
            allowed,
            "",
        );
        self.time(key, time, range);
    }

    pub(super) fn size(&mut self, key: &str, size: Option<u64>, range: RangeInclusive<u64>) {
        let Some(size) = size else { return };
        let (least, most) = (format_size(*range.start()), format_size(*range.end()));
        let allowed = format!("expected {least} to {most}");
        self.expect(range.contains(&size), key, format_size(size), &allowed, "");
    }
}
