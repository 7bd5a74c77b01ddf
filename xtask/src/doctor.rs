//! `doctor`: what is built in, what is found on this machine, and what to do next.

use crate::cli::DoctorArgs;
use crate::process;
use anyhow::{Context, Result};
use gan_core::device;
use serde::Serialize;

/// The versions that the program was built from.
const LOCK: &str = include_str!("../../Cargo.lock");

#[derive(Serialize)]
struct Report {
    version: &'static str,
    candle: String,
    features: Vec<&'static str>,
    /// Widest vector instructions that the CPU kernels use here.
    simd: String,
    threads: usize,
    /// None in a build without CUDA.
    cuda: Option<Cuda>,
    next: String,
}

#[derive(Serialize)]
struct Cuda {
    cudarc: String,
    /// The version that the program was built for.
    built_for: Option<String>,
    /// The newest version that the driver can run.
    driver: Option<String>,
    libraries: Vec<Library>,
    gpus: Vec<Gpu>,
    /// Why there is no GPU to be used.
    error: Option<String>,
}

#[derive(Serialize)]
struct Library {
    name: String,
    needed: bool,
    path: Option<String>,
    /// What was looked for, where it was not found.
    missing: Option<String>,
}

#[derive(Serialize)]
struct Gpu {
    index: usize,
    name: String,
    memory_mib: usize,
    free_mib: usize,
    compute_capability: String,
}

/// Runs `doctor`.
///
/// # Errors
/// A build that does not know its own versions. What is missing on the machine is no error.
pub fn doctor(args: &DoctorArgs) -> Result<()> {
    let cuda = device::cuda_version().map(cuda).transpose()?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        candle: locked("candle-core")?,
        features: cuda
            .iter()
            .map(|_| "cuda")
            .chain(cfg!(feature = "hub").then_some("hub"))
            .collect(),
        simd: process::simd(),
        threads: process::threads(),
        cuda,
        next: next(),
    };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

/// The version of a package in the lock file.
fn locked(package: &str) -> Result<String> {
    let lock: toml::Table = toml::from_str(LOCK)?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let field = |entry: &toml::Value, key| entry.get(key)?.as_str().map(String::from);
    packages
        .into_iter()
        .flatten()
        .find(|entry| field(entry, "name").as_deref() == Some(package))
        .and_then(|entry| field(entry, "version"))
        .with_context(|| format!("Cargo.lock names no version of {package}"))
}

fn cuda(built_for: u32) -> Result<Cuda> {
    let libraries = device::libraries().into_iter().map(|library| Library {
        name: format!("lib{}", library.name),
        needed: library.needed,
        path: library.found.as_ref().ok().map(|p| p.display().to_string()),
        missing: library.found.err(),
    });
    let (gpus, mut errors) = match device::gpus() {
        Ok(gpus) => {
            let (found, refused): (Vec<_>, Vec<_>) = gpus.into_iter().partition(Result::is_ok);
            (found, refused.into_iter().filter_map(Result::err).collect())
        }
        Err(error) => (Vec::new(), vec![error]),
    };
    let gpus = gpus.into_iter().flatten().map(|gpu| Gpu {
        index: gpu.index,
        name: gpu.name,
        memory_mib: gpu.memory_mib,
        free_mib: gpu.free_mib,
        compute_capability: format!("{}.{}", gpu.capability.0, gpu.capability.1),
    });
    Ok(Cuda {
        cudarc: locked("cudarc")?,
        built_for: Some(device::version(built_for)),
        driver: device::driver_version().map(device::version),
        libraries: libraries.collect(),
        gpus: gpus.collect(),
        error: errors.pop().map(|error| error.to_string()),
    })
}

/// The one line of what to do next: found by opening what `--device auto` takes.
fn next() -> String {
    match device::choose("auto") {
        Ok((device, None)) if device.is_cpu() => {
            "cargo xtask train vanilla trains on the CPU; for a GPU build with cargo xtask-cuda (docs/gpu.md)".into()
        }
        Ok((device, None)) => format!(
            "cargo xtask-cuda train vanilla trains on {}",
            device::describe(&device)
        ),
        Ok((_, Some(why))) => format!("training takes the CPU; for a GPU: {why}"),
        Err(error) => format!("{error}, or use --device cpu"),
    }
}

fn print(report: &Report) {
    say!("program     {}, candle {}", report.version, report.candle);
    say!("kernels     {}, {} threads", report.simd, report.threads);
    match &report.cuda {
        None => say!("cuda        not built in"),
        Some(cuda) => {
            let built_for = cuda.built_for.as_deref().unwrap_or("unknown");
            say!("cuda        built for {built_for}, cudarc {}", cuda.cudarc);
            let driver = cuda.driver.as_deref().map(|v| format!("for CUDA {v}"));
            say!("driver      {}", driver.as_deref().unwrap_or("not found"));
            for library in &cuda.libraries {
                let found = match (&library.path, &library.missing) {
                    (Some(path), _) => path.clone(),
                    (None, Some(missing)) => format!("not found: {missing}"),
                    (None, None) => "not found".into(),
                };
                let need = if library.needed {
                    ""
                } else {
                    " (no training step needs it)"
                };
                say!("{:11} {found}{need}", library.name);
            }
            for gpu in &cuda.gpus {
                say!(
                    "gpu {}       {}, {} MiB ({} free), compute capability {}",
                    gpu.index,
                    gpu.name,
                    gpu.memory_mib,
                    gpu.free_mib,
                    gpu.compute_capability
                );
            }
            match &cuda.error {
                Some(error) if !cuda.gpus.is_empty() => say!("gpu         another: {error}"),
                // Why is said in the next line.
                _ if cuda.gpus.is_empty() => say!("gpu         none"),
                _ => {}
            }
        }
    }
    say!("next        {}", report.next);
}
