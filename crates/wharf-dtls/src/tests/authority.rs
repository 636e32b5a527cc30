//! Certificates for tests.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

use crate::Identity;

pub(super) struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

fn ec() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn subject(name: &str) -> X509Name {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    subject.build()
}

fn builder(name: &str, days: u32) -> X509Builder {
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&subject(name)).unwrap();
    let serial = BigNum::from_slice(name.as_bytes()).unwrap();
    builder
        .set_serial_number(&serial.to_asn1_integer().unwrap())
        .unwrap();
    builder
        .set_not_before(&Asn1Time::from_unix(0).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::days_from_now(days).unwrap())
        .unwrap();
    builder
}

impl Authority {
    /// One that signs itself, or one that another has signed.
    pub(super) fn new(name: &str, parent: Option<&Self>) -> Self {
        let key = ec();
        let mut builder = builder(name, 30);
        let constraints = BasicConstraints::new().critical().ca().build().unwrap();
        builder.append_extension(constraints).unwrap();
        builder.set_pubkey(&key).unwrap();
        match parent {
            Some(parent) => builder.set_issuer_name(parent.certificate.subject_name()),
            None => builder.set_issuer_name(&subject(name)),
        }
        .unwrap();
        let signer = parent.map_or(&key, |parent| &parent.key);
        builder.sign(signer, MessageDigest::sha256()).unwrap();
        Self {
            certificate: builder.build(),
            key,
        }
    }

    pub(super) fn der(&self) -> Vec<u8> {
        self.certificate.to_der().unwrap()
    }

    pub(super) fn ecdsa(&self, name: &str) -> Identity {
        self.issue(name, &ec(), 30)
    }

    pub(super) fn rsa(&self, name: &str) -> Identity {
        self.issue(
            name,
            &PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
            30,
        )
    }

    pub(super) fn expired(&self, name: &str) -> Identity {
        self.issue(name, &ec(), 0)
    }

    fn issue(&self, name: &str, key: &PKey<Private>, days: u32) -> Identity {
        let mut builder = builder(name, days);
        builder
            .set_issuer_name(self.certificate.subject_name())
            .unwrap();
        builder.set_pubkey(key).unwrap();
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let names = SubjectAlternativeName::new()
            .dns(name)
            .build(&context)
            .unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        Identity {
            chain: vec![builder.build().to_der().unwrap()],
            key: key.private_key_to_der().unwrap(),
            names: vec![name.to_owned()],
        }
    }
}
