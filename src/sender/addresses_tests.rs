use proptest::prelude::*;

use super::*;

fn host(url: &str) -> HostName {
    Target::parse(url).expect(url).origin.host
}

fn address(text: &str) -> HostName {
    HostName::Address(text.parse().expect(text))
}

#[test]
fn hosts_in_disguise_are_the_addresses_that_they_mean() {
    for disguised in [
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0X7F.0x0.0x0.0x1/",
        "http://017700000001/",
        "http://0177.0.0.01/",
        "http://127.1/",
        "http://127.0.1/",
        "http://%31%32%37.0.0.1/",
        "http://127%2e0%2e0%2e1/",
        "http://１２７。０。０。１/",
        "http://①②⑦.⓪.⓪.①/",
        "http:127.0.0.1",
        "http:\\\\127.0.0.1\\@8.8.8.8/",
        "http://127.0.0.1#@8.8.8.8/",
        "http://127.0.0.1?@8.8.8.8/",
        "http://12\t7.0.\n0.1/",
    ] {
        assert_eq!(host(disguised), address("127.0.0.1"), "{disguised}");
    }
    for disguised in ["http://[0:0:0:0:0:ffff:7f00:1]/", "http://[::FFFF:127.0.0.1]:80/"] {
        assert_eq!(host(disguised), address("::ffff:127.0.0.1"), "{disguised}");
    }
    for (none, why) in [
        ("http://8.8.8.8@127.0.0.1/", "user name"),
        ("http://8.8.8.8:80@127.0.0.1/", "user name"),
        ("http://[fe80::1%25eth0]/", "IPv6"),
        ("http://[127.0.0.1]/", "IPv6"),
        ("http://4294967296/", "IPv4"),
        ("http://127.0.0.0x100/", "IPv4"),
        ("http://1.2.3.4.5/", "IPv4"),
        ("http://a%00.test/", "international"),
    ] {
        let error = Target::parse(none).expect_err(none).to_string();
        assert!(error.contains(why), "{none}: {error}");
    }
}

/// The ways to write an IPv4 address into a URL.
fn forms(bits: u32) -> Vec<String> {
    let [a, b, c, d] = bits.to_be_bytes();
    let end = bits & 0xff_ffff;
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{bits}"),
        format!("{bits:#x}"),
        format!("0{bits:o}"),
        format!("{a:#x}.0{b:o}.{c}.{d:#x}"),
        format!("{a}.{end}"),
        format!("{a}.{b}.{}", end & 0xffff),
        format!("{a}%2E{b}%2e{c}。{d}"),
    ]
}

fn addresses(guard: AddressGuard) -> Addresses {
    Addresses::new(guard, Arc::new(SystemResolver))
}

proptest! {
    #[test]
    fn every_form_of_an_ipv4_host_is_judged_as_the_address_that_it_means(bits: u32) {
        let v4 = Ipv4Addr::from(bits);
        let addresses = addresses(AddressGuard::default());
        for form in forms(bits) {
            let host = host(&format!("http://{form}/"));
            prop_assert_eq!(&host, &HostName::Address(v4.into()), "{}", form);
            prop_assert_eq!(addresses.may_permit(&host), addresses.guard.permits(v4.into()));
        }
        let mapped = host(&format!("http://[::ffff:{v4}]:8080/x"));
        prop_assert_eq!(addresses.may_permit(&mapped), addresses.guard.permits(v4.into()));
    }

    #[test]
    fn hostile_urls_are_read_or_refused(text in "\\PC*", host in "[0-9a-fxX.:%\\[\\]@#/\\\\。１-９]*") {
        let addresses = addresses(AddressGuard::default());
        for url in [text.clone(), format!("http://{text}/"), format!("https://{host}/")] {
            let Ok(target) = Target::parse(&url) else { continue };
            let permitted = addresses.may_permit(&target.origin.host);
            match target.origin.host {
                HostName::Address(address) => {
                    prop_assert_eq!(permitted, addresses.guard.permits(address));
                }
                HostName::Name(name) => {
                    let plain = name.strip_suffix('.').unwrap_or(&name);
                    prop_assert!(plain.parse::<IpAddr>().is_err(), "{name} is an address");
                }
            }
        }
    }
}
