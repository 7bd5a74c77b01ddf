//! Devices by name, and what a CUDA device needs: looked for before it is opened, since what lies below panics
//! where a library is missing.
//!
//! ```
//! let device = gan_core::device::open("auto")?; // the first GPU where there is one, else the CPU
//! assert!(gan_core::device::open("cpu")?.is_cpu());
//! let error = gan_core::device::open("cuda:99").unwrap_err();
//! println!("{error}"); // what is missing, and what to do
//! # Ok::<(), gan_core::device::DeviceError>(())
//! ```

use candle_core::Device;
use std::path::PathBuf;

/// Why a device cannot be used: what was expected, what was found, what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// A name that is none of those known.
    #[error("{0} is not known, expected auto, cpu, cuda or cuda:I")]
    Unknown(String),
    /// The program has no CUDA in it.
    #[error(
        "this program was built without CUDA; build it with the feature cuda (cargo xtask-cuda)"
    )]
    NotBuilt,
    /// There is no driver on this machine.
    #[error("no NVIDIA driver: {looked_for}; install a driver for CUDA {} or newer", version(*.needed))]
    NoDriver {
        /// What was looked for, and what the loader said if it said more than that.
        looked_for: String,
        /// The CUDA version that the program was built for.
        needed: u32,
    },
    /// The driver knows of no GPU.
    #[error("the NVIDIA driver finds no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES")]
    NoGpu,
    /// The driver is for an earlier CUDA than the program.
    #[error(
        "the NVIDIA driver is for CUDA {}, expected {} or newer; install a newer driver",
        version(*.driver), version(*.needed)
    )]
    OldDriver {
        /// The newest CUDA version that the driver can run.
        driver: u32,
        /// The CUDA version that the program was built for.
        needed: u32,
    },
    /// A library of CUDA's toolkit is missing.
    #[error(
        "CUDA's library lib{name} is missing: {looked_for}; install it (pip install \
         'cuda-toolkit[cublas,curand]=={}.*') and put its folder into LD_LIBRARY_PATH", version(*.needed)
    )]
    NoLibrary {
        /// Its name, without `lib`.
        name: &'static str,
        /// What was looked for, and what the loader said if it said more than that.
        looked_for: String,
        /// The CUDA version that the program was built for.
        needed: u32,
    },
    /// A number that no GPU has.
    #[error(
        "there is no GPU {asked}: the driver finds {there}, counted from 0; check nvidia-smi and CUDA_VISIBLE_DEVICES"
    )]
    NoSuchGpu {
        /// The number asked for.
        asked: usize,
        /// How many GPUs there are.
        there: usize,
    },
    /// The driver or a library refuses.
    #[error("the GPU cannot be used ({said}); check nvidia-smi for other programs on it")]
    Refused {
        /// What was said.
        said: String,
    },
}

impl DeviceError {
    /// Whether the machine has no GPU at all, which is when `auto` takes the CPU.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotBuilt | Self::NoDriver { .. } | Self::NoGpu)
    }
}

impl From<DeviceError> for candle_core::Error {
    fn from(error: DeviceError) -> Self {
        candle_core::Error::wrap(error)
    }
}

/// Opens `auto`, `cpu`, `cuda` (the first GPU) or `cuda:I`.
///
/// `auto` is the first GPU, or the CPU where there is no GPU or no driver; [`choose`] also says why.
///
/// # Errors
/// Whatever keeps the device from being used; `cuda` is never replaced by the CPU in silence.
pub fn open(name: &str) -> Result<Device, DeviceError> {
    choose(name).map(|(device, _)| device)
}

/// The same; where a program with CUDA takes the CPU for `auto`, also why.
///
/// # Errors
/// As [`open`].
pub fn choose(name: &str) -> Result<(Device, Option<DeviceError>), DeviceError> {
    let index = match name {
        "cpu" => return Ok((Device::Cpu, None)),
        "auto" => {
            return match cuda(0) {
                Ok(device) => Ok((device, None)),
                Err(DeviceError::NotBuilt) => Ok((Device::Cpu, None)),
                Err(why) if why.is_absence() => Ok((Device::Cpu, Some(why))),
                Err(error) => Err(error),
            };
        }
        "cuda" => Some(0),
        _ => name.strip_prefix("cuda:").and_then(|i| i.parse().ok()),
    };
    let index = index.ok_or_else(|| DeviceError::Unknown(name.into()))?;
    Ok((cuda(index)?, None))
}

/// A device in words: `cpu`, or a GPU's number and name.
pub fn describe(device: &Device) -> String {
    match device {
        Device::Cpu => "cpu".into(),
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => {
            let stream = cuda.cuda_stream();
            let (i, name) = (stream.context().ordinal(), stream.context().name());
            name.map_or_else(|_| format!("cuda:{i}"), |name| format!("cuda:{i}, {name}"))
        }
        other => format!("{:?}", other.location()).to_lowercase(),
    }
}

/// Whether an error says that a GPU has no memory left.
///
/// Told by the names of CUDA's error codes, since layers between the driver and here keep the text alone.
pub fn is_out_of_memory(text: &str) -> bool {
    [
        "CUDA_ERROR_OUT_OF_MEMORY",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CURAND_STATUS_ALLOCATION_FAILED",
        "CUDNN_STATUS_ALLOC_FAILED",
    ]
    .iter()
    .any(|code| text.contains(code))
}

/// A library of CUDA's, and where it was found.
#[derive(Clone, Debug)]
pub struct Library {
    /// Its name, without `lib`.
    pub name: &'static str,
    /// Whether a device cannot be opened without it.
    pub needed: bool,
    /// Its file, or what was looked for.
    pub found: Result<PathBuf, String>,
}

/// A GPU as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its number.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its memory in MiB.
    pub memory_mib: usize,
    /// What of it is free, in MiB.
    pub free_mib: usize,
    /// Compute capability, major and minor.
    pub capability: (i32, i32),
}

/// A CUDA version in words; CUDA counts 1000 · major + 10 · minor.
pub fn version(number: u32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

#[cfg(not(feature = "cuda"))]
use absent::cuda;
#[cfg(not(feature = "cuda"))]
pub use absent::{cuda_version, driver_version, gpus, libraries};
#[cfg(feature = "cuda")]
use built::cuda;
#[cfg(feature = "cuda")]
pub use built::{cuda_version, driver_version, gpus, libraries};

/// A build without CUDA.
#[cfg(not(feature = "cuda"))]
mod absent {
    use super::{Device, DeviceError, Gpu, Library};

    pub fn cuda(_: usize) -> Result<Device, DeviceError> {
        Err(DeviceError::NotBuilt)
    }

    /// The CUDA version that the program was built for; none in a build without CUDA.
    pub fn cuda_version() -> Option<u32> {
        None
    }

    /// The newest CUDA version that the driver can run; none without a driver.
    pub fn driver_version() -> Option<u32> {
        None
    }

    /// CUDA's libraries and where they are; none in a build without CUDA.
    pub fn libraries() -> Vec<Library> {
        Vec::new()
    }

    /// The GPUs that the driver finds, or why one of them cannot be used.
    ///
    /// # Errors
    /// Whatever keeps all of them from being used.
    pub fn gpus() -> Result<Vec<Result<Gpu, DeviceError>>, DeviceError> {
        Err(DeviceError::NotBuilt)
    }
}

/// A build with CUDA.
#[cfg(feature = "cuda")]
mod built {
    use super::{Device, DeviceError, Gpu, Library};
    use candle_core::cuda_backend::cudarc::driver::sys::{CUDA_VERSION, CUresult};
    use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError};
    use gan_kernels::loading::{self, Missing};
    use std::path::PathBuf;

    /// What candle opens when it makes a device, after the driver.
    const NEEDED: [&str; 2] = ["cublas", "curand"];
    /// The driver's own library.
    const DRIVER: &str = "cuda";

    pub fn cuda(index: usize) -> Result<Device, DeviceError> {
        let there = count()?;
        for name in NEEDED {
            find(name).map_err(|looked_for| DeviceError::NoLibrary {
                name,
                looked_for,
                needed: CUDA_VERSION,
            })?;
        }
        if index >= there {
            return Err(DeviceError::NoSuchGpu {
                asked: index,
                there,
            });
        }
        Device::new_cuda(index).map_err(|error| {
            // With RUST_BACKTRACE the lines below the first are a backtrace.
            let text = error.to_string();
            refused(text.lines().next().unwrap_or_default())
        })
    }

    fn refused(said: &str) -> DeviceError {
        let said = match super::is_out_of_memory(said) {
            true => "its memory is taken",
            false => said,
        };
        DeviceError::Refused { said: said.into() }
    }

    /// Where a library is, or what was looked for.
    fn find(name: &'static str) -> Result<PathBuf, String> {
        loading::find(name).map_err(|Missing { looked_for, said }| {
            let looked_for = format!("looked for {looked_for}");
            said.map_or(looked_for.clone(), |said| format!("{looked_for} ({said})"))
        })
    }

    /// How many GPUs there are, at least one, under a driver that can run this program.
    fn count() -> Result<usize, DeviceError> {
        let no_driver = |looked_for| DeviceError::NoDriver {
            looked_for,
            needed: CUDA_VERSION,
        };
        let file = find(DRIVER).map_err(no_driver)?;
        let there = match CudaContext::device_count() {
            Ok(there) => usize::try_from(there).unwrap_or(0),
            Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => 0,
            Err(DriverError(CUresult::CUDA_ERROR_STUB_LIBRARY)) => {
                let file = file.display();
                let stub = format!("{file} is the toolkit's, for linking alone");
                return Err(no_driver(stub));
            }
            Err(DriverError(code)) => return Err(refused(&format!("{code:?}"))),
        };
        match driver_version() {
            _ if there == 0 => Err(DeviceError::NoGpu),
            Some(driver) if driver < CUDA_VERSION => Err(DeviceError::OldDriver {
                driver,
                needed: CUDA_VERSION,
            }),
            _ => Ok(there),
        }
    }

    /// The CUDA version that the program was built for; none in a build without CUDA.
    pub fn cuda_version() -> Option<u32> {
        Some(CUDA_VERSION)
    }

    /// The newest CUDA version that the driver can run; none without a driver.
    pub fn driver_version() -> Option<u32> {
        loading::driver_version()
    }

    /// CUDA's libraries and where they are; none in a build without CUDA.
    pub fn libraries() -> Vec<Library> {
        let needed = [DRIVER].into_iter().chain(NEEDED).map(|name| (name, true));
        needed
            .chain([("nvrtc", false)])
            .map(|(name, needed)| Library {
                name,
                needed,
                found: find(name),
            })
            .collect()
    }

    /// The GPUs that the driver finds, or why one of them cannot be used.
    ///
    /// # Errors
    /// Whatever keeps all of them from being used.
    pub fn gpus() -> Result<Vec<Result<Gpu, DeviceError>>, DeviceError> {
        Ok((0..count()?)
            .map(|index| gpu(index).map_err(|DriverError(code)| refused(&format!("{code:?}"))))
            .collect())
    }

    fn gpu(index: usize) -> Result<Gpu, DriverError> {
        let context = CudaContext::new(index)?;
        let (free, total) = context.mem_get_info()?;
        Ok(Gpu {
            index,
            name: context.name()?,
            memory_mib: total >> 20,
            free_mib: free >> 20,
            capability: context.compute_capability()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CUDA", "cpu:0"] {
            let error = open(name).unwrap_err();
            assert_eq!(error, DeviceError::Unknown(name.into()));
            assert!(
                error
                    .to_string()
                    .contains("expected auto, cpu, cuda or cuda:I")
            );
        }
    }

    #[test]
    fn the_cpu_is_always_there_and_auto_says_why_it_takes_it() {
        assert!(open("cpu").unwrap().is_cpu());
        match choose("auto") {
            Ok((device, why)) => {
                assert!(why.is_none() || device.is_cpu());
                assert!(why.is_none_or(|why| why.is_absence()));
            }
            // A GPU that is there and cannot be used.
            Err(error) => assert!(cfg!(feature = "cuda") && !error.is_absence(), "{error}"),
        }
    }

    #[test]
    fn versions_are_said_as_people_say_them() {
        assert_eq!(version(13000), "13.0");
        assert_eq!(version(12040), "12.4");
        let (driver, needed) = (12080, 13000);
        let error = DeviceError::OldDriver { driver, needed }.to_string();
        assert!(error.contains("is for CUDA 12.8, expected 13.0"), "{error}");
    }

    #[test]
    fn memory_that_has_run_out_is_told_from_other_errors() {
        assert!(is_out_of_memory(
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"
        ));
        assert!(!is_out_of_memory(
            "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"…\")"
        ));
    }
}
