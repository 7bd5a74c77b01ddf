//! What work on a GPU costs, as its driver counts it.
//!
//! A stand-in for a GPU counts more than a driver does. What is not counted is `None`.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{result, sys};
use candle_core::{Device, Result};
use libloading::Library;
use std::ffi::{CString, c_char, c_void};

/// The largest number of bytes that tensors held at once on a GPU since [`reset_peak`].
///
/// # Errors
/// What the driver says.
pub fn peak_bytes(device: &Device) -> Result<Option<u64>> {
    let Some(pool) = pool(device)? else {
        return Ok(None);
    };
    let mut bytes = 0u64;
    let most = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
    // SAFETY: the pool is the device's own, and this attribute is a 64-bit number.
    unsafe { result::mem_pool::get_attribute(pool, most, (&raw mut bytes).cast::<c_void>()) }
        .w()?;
    Ok(Some(bytes))
}

/// Begins the count of [`peak_bytes`] anew.
///
/// # Errors
/// What the driver says.
pub fn reset_peak(device: &Device) -> Result<()> {
    let Some(pool) = pool(device)? else {
        return Ok(());
    };
    let mut bytes = 0u64;
    let most = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
    // SAFETY: the pool is the device's own, and this attribute is a 64-bit number, which may be set to 0.
    unsafe { result::mem_pool::set_attribute(pool, most, (&raw mut bytes).cast::<c_void>()) }.w()
}

/// The pool that a GPU's tensors come from.
fn pool(device: &Device) -> Result<Option<sys::CUmemoryPool>> {
    let Device::Cuda(device) = device else {
        return Ok(None);
    };
    let stream = device.cuda_stream();
    // SAFETY: the device is the one that its context was made for.
    unsafe { result::device::get_default_mem_pool(stream.context().cu_device()) }
        .w()
        .map(Some)
}

/// How often something was done so far: `launches` of kernels, `library_calls` (products of matrices and the
/// like), `htod` copies to the device, `syncs` in which the host waited for it. Only a stand-in counts these.
pub fn count(what: &str) -> Option<u64> {
    type Count = unsafe extern "C" fn(*const c_char) -> u64;
    let what = CString::new(what).ok()?;
    // SAFETY: the library is open already where there is a device, and only a stand-in has this function, which
    // has this signature there.
    unsafe {
        let library = Library::new("libcuda.so.1").ok()?;
        let count = library.get::<Count>(b"standin_count\0").ok()?;
        Some(count(what.as_ptr()))
    }
}
