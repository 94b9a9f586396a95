use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn is_refused(text: &str) -> bool {
    !AddressGuard::default().permits(ip(text))
}

fn allowing(ranges: &[&str]) -> AddressGuard {
    let allowed = ranges.iter().map(|range| range.parse().expect(range)).collect();
    AddressGuard { local: false, allowed }
}

/// First and last address of each refused range, and the neighbours where those are
/// public.
const REFUSED: [(&str, &str, &str, &str); 25] = [
    ("", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
    ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
    ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
    ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
    ("168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17"),
    ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
    ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
    ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
    ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
    ("192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
    ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
    ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
    ("198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
    ("203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
    ("223.255.255.255", "224.0.0.0", "239.255.255.255", ""),
    ("", "240.0.0.0", "255.255.255.255", ""),
    ("", "::", "::fffe:ffff:ffff", ""),
    ("", "::1:0:0:0", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", ""),
    ("", "64:ff9b::", "64:ff9b::ff:ffff", "64:ff9b::100:0"),
    ("", "64:ff9b::1:0:0", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"),
    ("2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:1ff:ffff::", "2001:200::"),
    ("2001:db7:ffff::", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"),
    ("2001:ffff::", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"),
    ("3ffe:ffff::", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"),
    (
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "4000::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "",
    ),
];

#[test]
fn refused_ranges_have_the_ends_that_the_registries_say() {
    for (before, first, last, after) in REFUSED {
        for refused in [first, last] {
            assert!(is_refused(refused), "{refused}");
        }
        for public in [before, after].into_iter().filter(|public| !public.is_empty()) {
            assert!(!is_refused(public), "{public}");
        }
    }
}

#[test]
fn what_is_known_to_be_dangerous_is_refused() {
    for refused in [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "255.255.255.255",
        "fc00::",
        "fdff:ffff::",
        "fe80::1",
        "febf:ffff::",
        "fec0::1",
        "feff:ffff::",
        "ff02::1",
        "100::1",
        "5f00::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::8.8.8.8",
        "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "2a00:1450::5efe:192.168.0.1",
        "2a00:1450::200:5efe:10.0.0.1",
    ] {
        assert!(is_refused(refused), "{refused}");
    }
    for public in [
        "8.8.8.8",
        "1.1.1.1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2a00:1450::1",
        "2606:4700:4700::1111",
        "2a00:1450::5efe:8.8.8.8",
    ] {
        assert!(!is_refused(public), "{public}");
    }
}

#[test]
fn allowed_ranges_win() {
    let guard = allowing(&["10.0.0.0/8", "169.254.169.254/32", "fd00::/8", "2002:a00::/24"]);
    for permitted in [
        "10.0.0.0",
        "10.255.255.255",
        "::ffff:10.1.2.3",
        "169.254.169.254",
        "fd00:ec2::254",
        "2002:a01::1",
        "8.8.8.8",
    ] {
        assert!(guard.permits(ip(permitted)), "{permitted}");
    }
    for refused in [
        "127.0.0.1",
        "192.168.0.1",
        "169.254.169.253",
        "fc00::1",
        "64:ff9b::10.0.0.1",
        "::10.0.0.1",
        "2002:c0a8:1::",
    ] {
        assert!(!guard.permits(ip(refused)), "{refused}");
    }
    // Written in the mapped form, a range means the same.
    assert!(allowing(&["::ffff:10.0.0.0/104"]).permits(ip("::ffff:10.1.2.3")));
    assert!(allowing(&["0.0.0.0/0"]).permits(ip("127.0.0.1")));
}

#[test]
fn development_opens_loopback_and_private_addresses_and_no_more() {
    let guard = AddressGuard { local: true, allowed: Vec::new() };
    for permitted in
        ["127.0.0.1", "127.255.0.9", "10.1.1.1", "172.31.0.1", "192.168.1.1", "::1", "fd12::1"]
    {
        assert!(guard.permits(ip(permitted)), "{permitted}");
    }
    assert!(guard.permits(ip("::ffff:127.0.0.1")) && guard.permits(ip("8.8.8.8")));
    for refused in [
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "168.63.129.16",
        "fe80::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
    ] {
        assert!(!guard.permits(ip(refused)), "{refused}");
    }
}

#[test]
fn names_of_the_machine_itself_are_known() {
    for local in ["localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.LocalHost."] {
        assert!(is_local_name(local), "{local}");
    }
    for other in ["", ".", "localhost.test", "notlocalhost", "localhost.test.", "localhost.."] {
        assert!(!is_local_name(other), "{other}");
    }
}

/// Addresses of a range that is refused.
fn refused_v4() -> impl Strategy<Value = Ipv4Addr> {
    (0..SPECIAL_V4.len(), any::<u32>()).prop_map(|(at, bits)| {
        let range = SPECIAL_V4[at];
        Ipv4Addr::from(u32::from(range.network()) | (bits & u32::from(range.hostmask())))
    })
}

/// All ways to write an IPv4 address into an IPv6 address; `other` fills what is free.
fn embeddings(v4: Ipv4Addr, other: u64) -> Vec<Ipv6Addr> {
    let end = u128::from(u32::from(v4));
    let free = u128::from(other);
    let global = (0x2a00_u128 << 112) | ((free >> 8) << 64);
    [
        end,
        (0xffff << 32) | end,
        (0x0064_ff9b << 96) | end,
        (0x0064_ff9b_0001 << 80) | end,
        (0x2002 << 112) | (end << 80) | free,
        // Teredo: a server, then the client with all bits turned.
        (0x2001_0000 << 96) | ((free >> 32) << 64) | (!end & 0xffff_ffff),
        (0x2001_0000 << 96) | (end << 64) | (free & 0xffff_ffff),
        global | (0x5efe << 32) | end,
        global | (0x0200_5efe << 32) | end,
    ]
    .map(Ipv6Addr::from)
    .to_vec()
}

proptest! {
    #[test]
    fn no_embedding_of_a_refused_address_is_let_through(v4 in refused_v4(), other: u64) {
        let guard = AddressGuard::default();
        prop_assert!(!guard.permits(v4.into()));
        for v6 in embeddings(v4, other) {
            prop_assert!(!guard.permits(v6.into()), "{v6}");
        }
    }

    #[test]
    fn what_is_judged_by_its_ipv4_address_is_judged_alike(bits: u32, local: bool) {
        let v4 = Ipv4Addr::from(bits);
        let guard = AddressGuard { local, allowed: Vec::new() };
        let permitted = guard.permits(v4.into());
        prop_assert_eq!(guard.permits(v4.to_ipv6_mapped().into()), permitted);
        let public = AddressGuard::default().permits(v4.into());
        let nat64 = Ipv6Addr::from((0x0064_ff9b_u128 << 96) | u128::from(bits));
        prop_assert_eq!(guard.permits(nat64.into()), public);
    }

    #[test]
    fn an_allowed_range_takes_nothing_away(bits: u128, base: u128, prefix in 0u8..=128) {
        let address = IpAddr::V6(Ipv6Addr::from(bits));
        let range = Ipv6Net::new(Ipv6Addr::from(base), prefix).expect("a prefix");
        let guard = AddressGuard { local: false, allowed: vec![range.into()] };
        let expected = AddressGuard::default().permits(address)
            || (prefix == 0 || (bits ^ base) >> (128 - prefix) == 0);
        prop_assert_eq!(guard.permits(address), expected);
    }
}
