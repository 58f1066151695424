pub(crate) fn run(p: crate::launch::Prepared) -> std::process::ExitCode {
    p.exec().report()
}
