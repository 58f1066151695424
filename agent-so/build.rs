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
    link_unwinder_statically();
    println!("cargo::rerun-if-changed=build.rs");
}

/// The standard library asks for `libgcc_s.so.1`, which slim images lack: the program would not even start. A linker script
/// of that name, found first, takes the unwinder from the compiler's static library instead.
fn link_unwinder_statically() {
    let Some(directory) = std::env::var_os("OUT_DIR") else {
        return;
    };
    let script = std::path::Path::new(&directory).join("libgcc_s.so");
    if std::fs::write(&script, "INPUT(-lgcc_eh -lgcc)\n").is_ok() {
        println!(
            "cargo::rustc-link-search=native={}",
            script.with_file_name("").display()
        );
    }
}
