// The threads of a block run on fibers, one at a time. A thread runs until it waits at a barrier or ends;
// then the next one of its warp runs, and when none of the warp can, the next warp. Who waits chooses who
// is next and switches to it directly. A fiber whose thread ended takes the next thread that has not
// started, so kernels without barriers run as a plain loop on one fiber.
//
// So a shuffle costs a switch a lane among the 32 stacks of its warp, which stay in the first cache, and a
// barrier costs a pass over the block.
#include "threads.hpp"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <vector>

#ifndef __x86_64__
#error "the switch between fibers is written for x86-64"
#endif

using standin::Block;
using standin::Gift;

namespace {

struct Fiber {
  void *stack_pointer;
  char *stack;
};

// A set bit is a lane.
struct Warp {
  uint32_t exist, started, ready, at_warp, at_block, done;
  uint32_t mask[32];  // what each lane at_warp waits for
};

const size_t STACK = 96 << 10, GUARD = 4096;

Block *block;
void (*kernel)(void **);
void **kernel_params;
bool reverse, one_dimensional;
Warp warps[MAX_THREADS / 32];
uint32_t ready_warps;    // those with ready lanes
unsigned warp;           // the one whose lanes run
unsigned alive, blocked;  // threads that have not ended, and those of them at the block's barrier
bool waited;             // whether any thread of this block has
Fiber *fibers[MAX_THREADS];
std::vector<Fiber *> idle, all_fibers;
void *outside;           // the stack of who launched
Gift gifts[MAX_THREADS];
alignas(16) char dynamic_shared[MAX_SHARED_BYTES];

[[noreturn]] void die(const char *what) {
  const uint3 b = block->block_index, t = block->thread_index;
  fprintf(stderr, "stand-in GPU: %s, in block (%u, %u, %u), thread (%u, %u, %u)\n", what, b.x, b.y, b.z, t.x, t.y, t.z);
  abort();
}

// Saves the callee-saved registers on this stack and its pointer in *save, and goes on where load was saved.
extern "C" __attribute__((visibility("hidden"))) void standin_switch(void **save, void *load);
asm(R"(
.text
.hidden standin_switch
.globl standin_switch
.type standin_switch, @function
standin_switch:
  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
  ret
)");

unsigned first(uint32_t bits) { return reverse ? 31 - __builtin_clz(bits) : __builtin_ctz(bits); }

void wake(unsigned w, uint32_t lanes) {
  warps[w].ready |= lanes;
  ready_warps |= 1u << w;
}

// Lets the lanes of the mask go on if all of them wait for the same mask, or have ended.
void release_warp(unsigned w, uint32_t mask) {
  Warp &v = warps[w];
  const uint32_t needed = mask & v.exist & ~v.done;
  if ((v.at_warp & needed) != needed) return;
  for (uint32_t rest = needed; rest; rest &= rest - 1)
    if (v.mask[__builtin_ctz(rest)] != mask) return;
  // Who has ended gives nothing to a shuffle.
  for (uint32_t rest = mask & v.done; rest; rest &= rest - 1) memset(gifts[w * 32 + __builtin_ctz(rest)].slot, 0xff, sizeof gifts->slot);
  v.at_warp &= ~needed;
  wake(w, needed);
}

void release_block() {
  for (unsigned w = 0; w * 32 < block->count; w++)
    if (warps[w].at_block) wake(w, warps[w].at_block), warps[w].at_block = 0;
  blocked = 0;
  warp = first(ready_warps);
}

// Makes the next thread that can run the current one. False when all have ended.
bool choose() {
  if (!warps[warp].ready) {
    if (!ready_warps) {
      if (!alive) return false;
      if (blocked != alive) die("the threads of this block wait for each other at different barriers");
      release_block();
    }
    warp = first(ready_warps);
  }
  Warp &v = warps[warp];
  const unsigned lane = first(v.ready), i = warp * 32 + lane;
  v.ready &= ~(1u << lane);
  if (!v.ready) ready_warps &= ~(1u << warp);
  block->current = i;
  if (one_dimensional) {
    block->thread_index.x = i;
  } else {
    const dim3 &d = block->block_dim;
    block->thread_index = {i % d.x, i / d.x % d.y, i / d.x / d.y};
  }
  return true;
}

void end_thread() {
  Warp &v = warps[warp];
  v.done |= 1u << block->current % 32;
  alive--;
  // The lanes that wait for this one may go on now.
  for (uint32_t rest = v.at_warp; rest; rest &= rest - 1) release_warp(warp, v.mask[__builtin_ctz(rest)]);
}

Fiber *take_fiber();

// The stack pointer to go on with the current thread at, which gets a fiber if it has not started.
void *stack_of_current() {
  const unsigned i = block->current;
  Warp &v = warps[warp];
  if (!(v.started >> i % 32 & 1)) fibers[i] = take_fiber();
  return fibers[i]->stack_pointer;
}

// What a fiber does: runs the current thread, and those that follow until one has a fiber of its own.
void fiber_main() {
  for (;;) {
    const unsigned i = block->current;
    Fiber *self = fibers[i];
    warps[warp].started |= 1u << i % 32;
    kernel(kernel_params);
    end_thread();
    const bool more = choose();
    if (more && !(warps[warp].started >> block->current % 32 & 1)) {
      fibers[block->current] = self;
      continue;
    }
    idle.push_back(self);
    standin_switch(&self->stack_pointer, more ? fibers[block->current]->stack_pointer : outside);
  }
}

Fiber *take_fiber() {
  if (!idle.empty()) {
    Fiber *fiber = idle.back();
    idle.pop_back();
    return fiber;
  }
  char *stack = static_cast<char *>(mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (stack == MAP_FAILED) die("no memory for the stack of a thread");
  mprotect(stack, GUARD, PROT_NONE);
  // Stacks that all end at the same place would share a few sets of the caches. 60 KB are left at least.
  const size_t offset = all_fibers.size() * (9 * 64) % (32 << 10);
  void **top = reinterpret_cast<void **>(stack + STACK - offset) - 8;  // six registers, the entry, a null return address
  top[6] = reinterpret_cast<void *>(fiber_main);
  Fiber *fiber = new Fiber{top, stack};
  all_fibers.push_back(fiber);
  return fiber;
}

// Leaves the current thread until it is ready and chosen again. It may be so at once.
void wait() {
  const unsigned me = block->current;
  waited = true;
  choose();  // true: this thread has not ended
  if (block->current == me) return;
  void *next = stack_of_current();
  standin_switch(&fibers[me]->stack_pointer, next);
}

void wait_for_warp(unsigned mask) {
  const unsigned lane = block->current % 32;
  if (!(mask >> lane & 1)) die("a lane calls a warp function with a mask that leaves it out");
  Warp &v = warps[warp];
  v.at_warp |= 1u << lane;
  v.mask[lane] = mask;
  release_warp(warp, mask);
  wait();
}

void wait_for_block() {
  warps[warp].at_block |= 1u << block->current % 32;
  blocked++;
  wait();
}

// Static shared arrays of a library can be many, of a kernel they are few. So all are spoiled before a
// launch, and between blocks only what the first block that met a barrier has changed.
struct Range {
  char *start;
  size_t bytes;
};
std::vector<Range> changed;

void spoil(char *start, size_t bytes) { memset(start, 0xff, bytes); }

void find_changed() {
  const size_t LINE = 64;
  for (char *p = block->shared_start; p < block->shared_end; p += LINE) {
    const size_t n = std::min<size_t>(LINE, block->shared_end - p);
    unsigned char all = 0xff;
    for (size_t i = 0; i < n; i++) all &= static_cast<unsigned char>(p[i]);
    if (all == 0xff) continue;
    if (!changed.empty() && changed.back().start + changed.back().bytes == p) changed.back().bytes += n;
    else changed.push_back({p, n});
  }
}

void run_block() {
  const unsigned count = block->count;
  alive = count, blocked = 0, ready_warps = 0, waited = false;
  for (unsigned w = 0; w * 32 < count; w++) {
    const uint32_t exist = count - w * 32 < 32 ? (1u << (count - w * 32)) - 1 : ~0u;
    Warp &v = warps[w];
    v.exist = v.ready = exist;
    v.started = v.at_warp = v.at_block = v.done = 0;
    ready_warps |= 1u << w;
  }
  warp = first(ready_warps);
  choose();
  standin_switch(&outside, stack_of_current());
}

}  // namespace

void bind_block(Block *b) {
  b->gifts = gifts;
  b->dynamic_shared = dynamic_shared;
  b->wait_for_block = wait_for_block;
  b->wait_for_warp = wait_for_warp;
  b->die = die;
}

void run_launch(Block *b, const Launch &l, void (*body)(void **), void **params) {
  block = b, kernel = body, kernel_params = params, reverse = l.reverse;
  b->grid_dim = {l.grid[0], l.grid[1], l.grid[2]};
  b->block_dim = {l.block[0], l.block[1], l.block[2]};
  b->count = l.block[0] * l.block[1] * l.block[2];
  b->thread_index = {0, 0, 0};
  one_dimensional = l.block[1] == 1 && l.block[2] == 1;
  const uint64_t blocks = uint64_t(l.grid[0]) * l.grid[1] * l.grid[2];
  // NaN in all shared memory, so that nobody counts on zeros or on what an earlier block left.
  spoil(b->shared_start, b->shared_end - b->shared_start);
  changed.clear();
  for (uint64_t n = 0; n < blocks; n++) {
    const uint64_t i = reverse ? blocks - 1 - n : n;
    b->block_index = {unsigned(i % l.grid[0]), unsigned(i / l.grid[0] % l.grid[1]), unsigned(i / l.grid[0] / l.grid[1])};
    spoil(dynamic_shared, l.shared_bytes);
    for (const Range &range : changed) spoil(range.start, range.bytes);
    run_block();
    if (waited && changed.empty()) find_changed();
  }
}

bool is_stack_guard(uintptr_t address) {
  for (const Fiber *fiber : all_fibers)
    if (address - reinterpret_cast<uintptr_t>(fiber->stack) < GUARD) return true;
  return false;
}
