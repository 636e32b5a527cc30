//! A set of address ranges that answers in one binary search.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Address ranges, one table a family, so that `::/0` says nothing about IPv4.
#[derive(Debug, Clone, Default)]
pub(crate) struct IpRanges {
    v4: Intervals<u32>,
    v6: Intervals<u128>,
}

/// Closed intervals in ascending order that do not overlap. Addresses are compared as one integer,
/// never by component.
#[derive(Debug, Clone, Default)]
struct Intervals<T>(Box<[(T, T)]>);

impl IpRanges {
    /// The union of `nets`. A range that lies within `::ffff:0:0/96` is the IPv4 range it stands
    /// for, as addresses are looked up in canonical form.
    pub(crate) fn new(nets: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            match canonical_net(*net) {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self {
            v4: Intervals::new(v4),
            v6: Intervals::new(v6),
        }
    }

    /// Whether `ip`, in canonical form, is in one of the ranges.
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.v4.contains(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.contains(ip.to_bits()),
        }
    }
}

impl<T: Copy + Ord> Intervals<T> {
    fn new(mut intervals: Vec<(T, T)>) -> Self {
        intervals.sort_unstable();
        intervals.dedup_by(|next, kept| {
            let overlaps = next.0 <= kept.1;
            if overlaps {
                kept.1 = kept.1.max(next.1);
            }
            overlaps
        });
        Self(intervals.into())
    }

    fn contains(&self, value: T) -> bool {
        let after = self.0.partition_point(|&(start, _)| start <= value);
        after > 0 && value <= self.0[after - 1].1
    }
}

/// A range within `::ffff:0:0/96` as the IPv4 range it stands for; any other as it is.
pub(crate) fn canonical_net(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let Some(v4) = v6.network().to_ipv4_mapped() else {
        return net;
    };
    let Some(length) = v6.prefix_len().checked_sub(96) else {
        return net;
    };
    Ipv4Net::new(v4, length).map_or(net, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// Few distinct high bits, so that ranges meet, nest and touch.
    fn any_net() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (0u32..64, 24u8..=32).prop_map(|(bits, length)| {
                Ipv4Net::new(Ipv4Addr::from_bits(bits << 4), length)
                    .unwrap()
                    .into()
            }),
            (0u128..64, 60u8..=128).prop_map(|(bits, length)| {
                ipnet::Ipv6Net::new(Ipv6Addr::from_bits(bits << 61), length)
                    .unwrap()
                    .into()
            }),
        ]
    }

    fn any_ip() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (0u32..1100).prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            (0u128..66, 0u128..3, any::<bool>()).prop_map(|(high, low, below)| {
                let bits = (high << 61) + low;
                let bits = if below { bits.wrapping_sub(2) } else { bits };
                Ipv6Addr::from_bits(bits).into()
            }),
        ]
    }

    proptest! {
        /// coturn 4.16 compared IPv6 ranges component by component; here the table must agree with
        /// a plain scan of the networks.
        #[test]
        fn table_agrees_with_a_scan(
            nets in proptest::collection::vec(any_net(), 0..12),
            ips in proptest::collection::vec(any_ip(), 1..40),
        ) {
            let ranges = IpRanges::new(&nets);
            for ip in ips {
                prop_assert_eq!(ranges.contains(ip), nets.iter().any(|net| net.contains(&ip)), "{}", ip);
            }
        }

        #[test]
        fn edges_of_every_network_are_inside(net in any_net()) {
            let ranges = IpRanges::new(&[net]);
            prop_assert!(ranges.contains(net.network()));
            prop_assert!(ranges.contains(net.broadcast()));
        }

        #[test]
        fn intervals_are_disjoint(nets in proptest::collection::vec(any_net(), 0..20)) {
            let ranges = IpRanges::new(&nets);
            prop_assert!(ranges.v4.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
            prop_assert!(ranges.v6.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    #[test]
    fn whole_space_and_its_last_address() {
        let ranges = IpRanges::new(&["::/0".parse().unwrap(), "ffff::/16".parse().unwrap()]);
        assert!(ranges.contains(Ipv6Addr::from_bits(u128::MAX).into()));
        assert!(ranges.contains(Ipv6Addr::UNSPECIFIED.into()));
        assert!(
            !ranges.contains(Ipv4Addr::new(8, 8, 8, 8).into()),
            "::/0 is IPv6 only"
        );
    }

    #[test]
    fn a_mapped_network_is_the_ipv4_network() {
        let ranges = IpRanges::new(&["::ffff:10.0.0.0/104".parse().unwrap()]);
        assert!(ranges.contains(Ipv4Addr::new(10, 200, 0, 1).into()));
        assert!(!ranges.contains(Ipv4Addr::new(11, 0, 0, 1).into()));
    }
}
