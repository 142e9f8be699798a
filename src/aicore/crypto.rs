//! The process's TLS provider.

/// Makes ring the process's one TLS provider. May be called any number of times.
pub fn install_crypto() {
    // An error only says that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
}
