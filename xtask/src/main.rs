//! `cargo xtask`: trains, resumes, samples and checks every paper of the workspace.

fn main() -> std::process::ExitCode {
    xtask::main(xtask::registry::PAPERS)
}
