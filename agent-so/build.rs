//! Link arguments of `libagent.so`.

fn main() {
    let arguments = [
        // The exporter's I/O driver makes and uses descriptors through these: see src/sys/own_fd.rs.
        "-Wl,--wrap=epoll_create1",
        "-Wl,--wrap=eventfd",
        "-Wl,--wrap=epoll_ctl",
        "-Wl,--wrap=epoll_wait",
        // Hooks stay mapped for ever: other threads may be inside one at any time.
        "-Wl,-z,nodelete",
    ];
    for argument in arguments {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
