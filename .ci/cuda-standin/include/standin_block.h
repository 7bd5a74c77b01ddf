// What a library of compiled kernels and the driver share: a kernel's threads read the first half of
// Block, the scheduler (src/threads.cpp) writes it. Each library holds one Block, named standin_block.
#pragma once
#include <stdint.h>

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace standin {

// What a lane hands to the others of its warp. There are two slots, used in turn: a lane may be at the
// next shuffle before all others have read the last one.
struct Gift {
  uint64_t slot[2];
  bool last;
};

struct Block {
  uint3 thread_index, block_index;
  dim3 block_dim, grid_dim;
  unsigned current;      // the running thread, counted through the block
  unsigned count;        // threads of the block
  Gift *gifts;           // one a thread
  char *dynamic_shared;  // what extern __shared__ arrays start at
  void (*wait_for_block)();
  void (*wait_for_warp)(unsigned mask);
  void (*die)(const char *what);  // does not return
  // Where the library's static shared arrays lie, so that the driver can spoil what they held.
  char *shared_start, *shared_end;
};

}  // namespace standin
