//! The address guard: which addresses requests to the outside may go to.
//!
//! Tenants choose where their events go, so without a guard they could make the
//! server call what only the server can reach. Public is what the world can reach;
//! everything else is refused, unless the operator allows it. What is special is
//! taken from the IANA special-purpose address registries (RFC 6890 and 8190, with
//! their later entries), the multicast and reserved ranges of IPv4 (RFC 5771, 1112)
//! and the IPv6 address space (RFC 4291).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Says where requests may go. By default to public addresses only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressGuard {
    /// Loopback, private (RFC 1918) and unique-local (RFC 4193) addresses are allowed
    /// too, but for the metadata services of clouds. For development.
    pub local: bool,
    /// Ranges that are allowed whatever is in them. A range of IPv4 counts for its
    /// IPv4-mapped form too.
    pub allowed: Vec<IpNet>,
}

impl AddressGuard {
    /// Whether a request may go to this address.
    pub fn permits(&self, address: IpAddr) -> bool {
        // A socket that connects to an IPv4-mapped address speaks IPv4 to the other.
        let canonical = address.to_canonical();
        let is_in = |range: &IpNet| range.contains(&address) || range.contains(&canonical);
        self.allowed.iter().any(is_in)
            || is_public(canonical)
            || (self.local && is_local(canonical) && !is_metadata(canonical))
    }
}

/// Whether a name means the machine itself, whatever a resolver says: `localhost` and
/// all names below it (RFC 6761, section 6.3).
pub fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(a: u16, b: u16, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), bits)
}

const SPECIAL_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),       // this network (RFC 791); Linux takes 0.0.0.0 for itself
    v4(10, 0, 0, 0, 8),      // private (RFC 1918)
    v4(100, 64, 0, 0, 10),   // shared, behind the NAT of a carrier (RFC 6598)
    v4(127, 0, 0, 0, 8),     // loopback (RFC 1122)
    v4(169, 254, 0, 0, 16),  // link-local (RFC 3927), with most clouds' metadata
    v4(172, 16, 0, 0, 12),   // private (RFC 1918)
    v4(192, 0, 0, 0, 24),    // IETF protocol assignments (RFC 6890)
    v4(192, 0, 2, 0, 24),    // documentation (RFC 5737)
    v4(192, 88, 99, 0, 24),  // 6to4 relays, given up (RFC 7526)
    v4(192, 168, 0, 0, 16),  // private (RFC 1918)
    v4(198, 18, 0, 0, 15),   // benchmarks (RFC 2544)
    v4(198, 51, 100, 0, 24), // documentation (RFC 5737)
    v4(203, 0, 113, 0, 24),  // documentation (RFC 5737)
    v4(224, 0, 0, 0, 4),     // multicast (RFC 5771)
    v4(240, 0, 0, 0, 4),     // reserved, and broadcast (RFC 1112, 919)
    AZURE_PLATFORM,
];

/// The platform service of Azure: from the public space, but answered by the machine's
/// own host.
const AZURE_PLATFORM: Ipv4Net = v4(168, 63, 129, 16, 32);

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|range| range.contains(&address))
}

/// All that is assigned for unicast over the internet. Outside of it lie loopback,
/// unspecified, IPv4-compatible (::/96, given up), discard-only (100::/64), local-use
/// NAT64 (64:ff9b:1::/48), segment routing (5f00::/16), unique-local, link-local,
/// site-local and multicast addresses.
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 3);

/// Parts of it that are special.
const SPECIAL_V6: [Ipv6Net; 4] = [
    // IETF protocol assignments (RFC 2928). Teredo is among them (2001::/32), which
    // tunnels to an IPv4 address that is scrambled into the address and is no longer
    // operated; no part of it is for servers of the public.
    v6(0x2001, 0, 23),
    v6(0x2001, 0xdb8, 32), // documentation (RFC 3849)
    // 6to4 (RFC 3056) tunnels to the IPv4 address that follows. Its relays are given
    // up (RFC 7526), so that only a tunnel of our own network could take it.
    v6(0x2002, 0, 16),
    v6(0x3fff, 0, 20), // documentation (RFC 9637)
];

/// Where IPv6-only networks reach the IPv4 internet (RFC 6052). Their resolvers give
/// such addresses for names that have IPv4 addresses only, so it is judged by these.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 96);

fn is_public_v6(address: Ipv6Addr) -> bool {
    if NAT64.contains(&address) {
        return is_public_v4(last_v4(address));
    }
    GLOBAL_UNICAST.contains(&address)
        && !SPECIAL_V6.iter().any(|range| range.contains(&address))
        && (!is_isatap(address) || is_public_v4(last_v4(address)))
}

/// Whether it may be a tunnel within a site to the IPv4 address at its end (RFC 5214,
/// section 6.1).
fn is_isatap(address: Ipv6Addr) -> bool {
    let [.., high, low, _, _] = address.segments();
    matches!(high, 0 | 0x200) && low == 0x5efe
}

/// The IPv4 address in the last 32 bits.
fn last_v4(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

/// Whether a cloud tells its machines there about themselves, credentials included.
/// Only such as are local otherwise: `fd00:ec2::254` (AWS), `fd20:ce::254` (Google).
fn is_metadata(address: IpAddr) -> bool {
    const AWS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    const GOOGLE: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);
    address == AWS || address == GOOGLE
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
