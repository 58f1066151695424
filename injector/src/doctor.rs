pub(crate) fn run(_: Vec<std::ffi::OsString>, _: &crate::cli::Settings) -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
