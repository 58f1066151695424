//! The implementations of TLS that programs use, and how each is recognised.

/// An implementation of TLS.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Implementation {
    /// What people call it.
    pub(crate) name: &'static str,
    /// Functions that each copy of it defines, under names that never change.
    pub(crate) functions: &'static [&'static str],
    /// What its names have in common where the compiler decorates them.
    pub(crate) mangled: Option<&'static str>,
    /// Text that it leaves among a program's constants, where `strip` does not reach; and the name of the
    /// variant that does.
    pub(crate) constants: &'static [(&'static str, &'static str)],
    /// How the names of its shared libraries begin.
    pub(crate) files: &'static [&'static str],
    /// Whether the agent sees through it.
    pub(crate) reach: Reach,
}

/// Whether the agent sees what an implementation encrypts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Where its functions can be found: they are patched.
    Patched,
    /// Nowhere.
    No {
        /// What is in the way.
        why: &'static str,
        /// What the user can do.
        hint: &'static str,
    },
}

/// The advice for whatever is not watched.
const OTHER_LIBRARY: &str =
    "a build with OpenSSL or GnuTLS is seen, and plain HTTP behind a proxy that ends TLS";

/// All that are told apart.
pub(crate) static ALL: [Implementation; 7] = [
    OPENSSL,
    Implementation {
        name: "GnuTLS",
        functions: &["gnutls_record_send", "gnutls_record_recv"],
        mangled: None,
        constants: &[("Enabled GnuTLS ", "GnuTLS")],
        files: &["libgnutls.so"],
        reach: Reach::Patched,
    },
    RUSTLS,
    Implementation {
        // libnss3.so is no sign of it: many link that for its cryptography alone.
        name: "NSS",
        functions: &["SSL_ImportFD", "SSL_GetChannelInfo"],
        mangled: None,
        constants: &[],
        files: &["libssl3.so"],
        reach: Reach::No {
            why: "its input and output go through layers of NSPR, which are not watched",
            hint: OTHER_LIBRARY,
        },
    },
    Implementation {
        name: "Mbed TLS",
        functions: &["mbedtls_ssl_read", "mbedtls_ssl_write"],
        mangled: None,
        constants: &[],
        files: &["libmbedtls.so"],
        reach: NOT_WATCHED,
    },
    Implementation {
        name: "wolfSSL",
        functions: &["wolfSSL_read", "wolfSSL_write"],
        mangled: None,
        constants: &[],
        files: &["libwolfssl.so"],
        reach: NOT_WATCHED,
    },
    Implementation {
        name: "s2n-tls",
        functions: &["s2n_recv", "s2n_send"],
        mangled: None,
        constants: &[],
        files: &["libs2n.so"],
        reach: NOT_WATCHED,
    },
];

/// With its relatives: LibreSSL and BoringSSL have the same functions. These are the agent's marks: an executable into which
/// it is linked need not have more, and GnuTLS's imitation has not all of them.
pub(crate) const OPENSSL: Implementation = Implementation {
    name: "OpenSSL",
    functions: &["SSL_free", "SSL_get_error", "SSL_get_rbio"],
    mangled: None,
    // Names of source files, which error reports carry; libcrypto, which many link for its hashes alone, has
    // neither.
    constants: &[
        ("ssl/ssl_lib.c\0", "OpenSSL"),
        ("ssl/ssl_lib.cc\0", "BoringSSL"),
    ],
    files: &["libssl.so", "libssl-"],
    reach: Reach::Patched,
};

/// Alone here, because how much of it can be seen may change.
const RUSTLS: Implementation = Implementation {
    name: "rustls",
    functions: &[],
    mangled: Some("6rustls4conn"),
    // Source paths in panic messages: from the registry, and of `cargo vendor`.
    constants: &[("/rustls-0.", "rustls"), ("/rustls/src/", "rustls")],
    files: &[],
    reach: Reach::No {
        why: "it is compiled into the program, without functions of a fixed name and form",
        hint: "a build with native-tls or openssl is seen, and plain HTTP behind a proxy that ends TLS",
    },
};

const NOT_WATCHED: Reach = Reach::No {
    why: "this library is not watched",
    hint: OTHER_LIBRARY,
};
