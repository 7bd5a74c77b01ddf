// Runs the threads of a kernel.
#pragma once
#include "../include/standin_block.h"

struct Launch {
  unsigned grid[3], block[3], shared_bytes;
  bool reverse;  // run the blocks, and the threads between two barriers, in the opposite order
};

const unsigned MAX_THREADS = 1024;             // of a block
const unsigned MAX_SHARED_BYTES = 227 << 10;   // dynamic shared memory of a block, on request

// Prepares a library of kernels. Once for each.
void bind_block(standin::Block *block);
// Runs all blocks of a launch; body is the kernel for one thread.
void run_launch(standin::Block *block, const Launch &launch, void (*body)(void **), void **params);
// Whether the address lies in the guard page of a thread's stack.
bool is_stack_guard(uintptr_t address);
