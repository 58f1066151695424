//! TLS: trust, identity, ALPN.

use super::servers::Server;
use super::{config, export, export_within, exporter, failure, sent};
use crate::export::otlp::{Cause, SetupError};
use agent_engine::config::exporter::{OtlpConfig, Protocol};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A CA with a server and a client certificate, and a directory with their PEM files.
struct Pki {
    directory: PathBuf,
    ca: rcgen::Certificate,
    server: (rcgen::Certificate, KeyPair),
}

impl Pki {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("otlp-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let leaf = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.into()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let (server, client) = (leaf("localhost"), leaf("client"));
        std::fs::write(directory.join("ca.pem"), ca.pem()).unwrap();
        std::fs::write(directory.join("client.pem"), client.0.pem()).unwrap();
        std::fs::write(directory.join("client.key"), client.1.serialize_pem()).unwrap();
        Self {
            directory,
            ca,
            server,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn acceptor(&self, alpn: &[&str], client_certificate: bool) -> TlsAcceptor {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if client_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.ca.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(self.server.1.serialize_der()).unwrap();
        let chain = vec![self.server.0.der().clone()];
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn config(&self, protocol: Protocol, server: &Server) -> OtlpConfig {
        let port = server.address.port();
        let endpoint = match protocol {
            Protocol::Grpc => format!("https://localhost:{port}"),
            Protocol::HttpProtobuf => format!("https://localhost:{port}/v1/traces"),
        };
        let ca_file = Some(self.file("ca.pem"));
        OtlpConfig {
            ca_file,
            ..config(protocol, endpoint)
        }
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn server(protocol: Protocol, acceptor: TlsAcceptor) -> Server {
    match protocol {
        Protocol::Grpc => Server::grpc(vec![], Some(acceptor)),
        Protocol::HttpProtobuf => Server::http(vec![], Some(acceptor)),
    }
}

const BOTH: [(Protocol, &[&str]); 2] = [
    (Protocol::Grpc, &["h2"]),
    (Protocol::HttpProtobuf, &["h2", "http/1.1"]),
];

#[test]
fn a_server_of_the_configured_ca_is_trusted() {
    let pki = Pki::new("trusted");
    for (protocol, alpn) in BOTH {
        let server = server(protocol, pki.acceptor(alpn, false));
        let mut exporter = exporter(&pki.config(protocol, &server));
        assert_eq!(export(&mut exporter), sent());
        assert_eq!(export(&mut exporter), sent());
        assert_eq!(server.log().connections, 1);
    }
}

#[test]
fn a_server_of_another_ca_is_not() {
    let (pki, other) = (Pki::new("ours"), Pki::new("theirs"));
    for (protocol, alpn) in BOTH {
        let server = server(protocol, other.acceptor(alpn, false));
        let (cause, detail) = failure(export(&mut exporter(&pki.config(protocol, &server))));
        assert_eq!(cause, Cause::Untrusted);
        assert!(detail.contains("certificate"), "{detail}");
        assert_eq!(server.log().connections, 1, "not retried");
    }
}

#[test]
fn a_client_certificate_is_shown_and_missed() {
    let pki = Pki::new("mutual");
    for (protocol, alpn) in BOTH {
        let server = server(protocol, pki.acceptor(alpn, true));
        let anonymous = pki.config(protocol, &server);
        let known = OtlpConfig {
            client_identity: Some((pki.file("client.pem"), pki.file("client.key"))),
            ..anonymous.clone()
        };
        assert_eq!(export(&mut exporter(&known)), sent());
        let (cause, detail) = failure(export_within(
            &mut exporter(&anonymous),
            Duration::from_secs(3),
        ));
        assert_eq!(cause, Cause::Untrusted, "{detail}");
        assert!(detail.contains("CertificateRequired"), "{detail}");
    }
}

#[test]
fn grpc_needs_http2_to_be_negotiated() {
    let pki = Pki::new("alpn");
    let server = server(Protocol::Grpc, pki.acceptor(&[], false));
    let (cause, detail) = failure(export(&mut exporter(&pki.config(Protocol::Grpc, &server))));
    assert_eq!(cause, Cause::Untrusted);
    assert!(detail.contains("HTTP/2"), "{detail}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let pki = Pki::new("files");
    std::fs::write(pki.file("empty.pem"), "nothing").unwrap();
    let base = config(Protocol::Grpc, "https://localhost:1".into());
    let name = |config: OtlpConfig| {
        let surroundings = super::Surroundings {
            user_agent: "",
            addresses: Box::leak(Box::default()),
            adopt: Ok,
            pause: std::thread::sleep,
        };
        match super::Exporter::new(&config, &surroundings) {
            Err(SetupError::Tls(text)) => text,
            other => panic!("{:?}", other.err()),
        }
    };
    for file in ["missing.pem", "empty.pem"] {
        let text = name(OtlpConfig {
            ca_file: Some(pki.file(file)),
            ..base.clone()
        });
        assert!(text.contains(file), "{text}");
    }
    let text = name(OtlpConfig {
        ca_file: Some(pki.file("ca.pem")),
        client_identity: Some((pki.file("client.pem"), pki.file("ca.pem"))),
        ..base
    });
    assert!(text.contains("ca.pem"), "{text}");
}
