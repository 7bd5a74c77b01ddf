//! Plain matrix products of strided matrices, with a scale and a bias in the same pass.

use crate::par::threads;
use gemm::Parallelism;

/// A matrix in memory: element (i, j) is `data[i * row + j * column]`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, T> {
    pub data: &'a [T],
    pub row: usize,
    pub column: usize,
}

/// Below this many multiply-adds a product runs on the calling thread.
const PARALLEL: usize = 1 << 18;

/// `C = scale * A B + bias`, C `[m][n]`, A `[m][k]`, B `[k][n]`, bias `[n]`.
pub(crate) fn matmul<T: Number>(
    m: usize,
    n: usize,
    k: usize,
    a: View<T>,
    b: View<T>,
    scale: T,
    bias: Option<&[T]>,
) -> Vec<T> {
    let reach = |v: &View<T>, rows: usize, columns: usize| match (rows, columns) {
        (0, _) | (_, 0) => 0,
        _ => (rows - 1) * v.row + (columns - 1) * v.column + 1,
    };
    assert!(a.data.len() >= reach(&a, m, k) && b.data.len() >= reach(&b, k, n));
    let mut c: Vec<T> = Vec::with_capacity(m * n);
    if let Some(bias) = bias {
        assert_eq!(bias.len(), n);
        (0..m).for_each(|_| c.extend_from_slice(bias));
    }
    let parallel = m * n * k >= PARALLEL && threads() > 1;
    let parallelism = if parallel {
        Parallelism::Rayon(threads())
    } else {
        Parallelism::None
    };
    // SAFETY: the assertion bounds what is read of A and B; C has room for m * n numbers, which
    // are written before, if they are read at all, or else by the product.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            bias.is_some(),
            a.data.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.column as isize,
            b.row as isize,
            T::ONE,
            scale,
            false,
            false,
            false,
            parallelism,
        );
        c.set_len(m * n);
    }
    c
}

/// The number types of the CPU paths.
pub(crate) trait Number: Copy + Send + Sync + 'static {
    const ONE: Self;
}
impl Number for f32 {
    const ONE: f32 = 1.0;
}
impl Number for f64 {
    const ONE: f64 = 1.0;
}
