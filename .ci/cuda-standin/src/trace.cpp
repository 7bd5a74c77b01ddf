// Where in the program a call of the driver comes from.
#include "trace.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <unistd.h>

#include <map>
#include <vector>

#include "standin.hpp"

namespace {

// The lines for addresses of one file; an address of the program may be several functions, inlined.
std::vector<std::string> symbolise(const std::string &file, const std::vector<uintptr_t> &addresses) {
  std::string command = "addr2line -Cfipe '" + file + "'";
  char number[24];
  for (uintptr_t a : addresses) snprintf(number, sizeof number, " %#lx", long(a)), command += number;
  command += " 2>/dev/null";
  std::vector<std::string> lines;
  if (FILE *pipe = popen(command.c_str(), "r")) {
    char line[4096];
    while (fgets(line, sizeof line, pipe)) lines.emplace_back(line, strcspn(line, "\n"));
    pclose(pipe);
  }
  return lines;
}

bool holds(const std::string &text, const char *part) { return text.find(part) != std::string::npos; }

// Frames that say nothing about the cause: the bindings and the standard library, by function or by file.
bool is_plumbing(const std::string &line) {
  const std::string inlined = " (inlined by) ";
  const size_t start = line.rfind(inlined, 0) == 0 ? inlined.size() : 0;
  for (const char *name : {"cudarc::", "std::", "core::", "alloc::", "<core::", "<alloc::", "_start", "__libc_start"})
    if (line.compare(start, strlen(name), name) == 0) return true;
  for (const char *part : {"/cudarc-", "/rustc/", "?? "})
    if (holds(line, part)) return true;
  return false;
}

}  // namespace

void print_backtrace() {
  const size_t SHOWN = 12;
  static std::map<std::vector<void *>, size_t> seen;  // stacks, numbered as they came
  std::vector<void *> frames(64);
  frames.resize(backtrace(frames.data(), int(frames.size())));
  const auto [known, fresh] = seen.emplace(frames, seen.size() + 1);
  if (!fresh) {
    fprintf(stderr, "    from place %zu\n", known->second);
    return;
  }
  fprintf(stderr, "    from place %zu:\n", known->second);
  size_t shown = 0;
  for (size_t i = 0; i < frames.size() && shown < SHOWN;) {
    // Neighbours in one file are looked up at once.
    Dl_info info, next;
    link_map *map = nullptr;
    if (!dladdr1(frames[i], &info, reinterpret_cast<void **>(&map), RTLD_DL_LINKMAP)) { i++; continue; }
    std::vector<uintptr_t> addresses;
    for (; i < frames.size() && dladdr(frames[i], &next) && next.dli_fbase == info.dli_fbase; i++)
      addresses.push_back(reinterpret_cast<uintptr_t>(frames[i]) - map->l_addr - 1);  // the call, not where it returns to
    if (holds(info.dli_fname, "libcuda.so") || holds(info.dli_fname, "libc.so")) continue;
    // A program's name may be relative or a link; /proc has it.
    const std::string file = map->l_name[0] ? info.dli_fname : "/proc/self/exe";
    char exe[4096];
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe);
    for (const std::string &line : symbolise(map->l_name[0] || n <= 0 ? file : std::string(exe, n), addresses)) {
      if (is_plumbing(line)) continue;
      if (shown++ == SHOWN) break;
      fprintf(stderr, "      %s\n", line.c_str());
    }
  }
  if (shown == 0) fprintf(stderr, "      (no names: build the program with line tables)\n");
}
