// Calls compile.sh, which lies with the rest of the stand-in beside the folder of this library.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "standin.hpp"

namespace {

std::string read_all(int file) {
  std::string text;
  char part[4096];
  ssize_t n;
  lseek(file, 0, SEEK_SET);
  while ((n = read(file, part, sizeof part)) > 0) text.append(part, n);
  close(file);
  return text;
}

// OUT/lib64/libcuda.so.1 → OUT/standin/compile.sh
std::string script() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void *>(script), &info)) return "";
  char path[4096];
  if (!realpath(info.dli_fname, path)) return "";
  const std::string library = path;
  const size_t folder = library.rfind('/');
  return library.substr(0, library.rfind('/', folder - 1)) + "/standin/compile.sh";
}

}  // namespace

Compiled standin_compile(const std::string &source, const std::string &options) {
  // Files in memory: whatever happens, nothing is left behind.
  const int in = memfd_create("source", 0), out = memfd_create("path", 0), messages = memfd_create("messages", 0);
  const std::string command = "'" + script() + "' " + options;
  if (in < 0 || out < 0 || messages < 0 || write(in, source.data(), source.size()) != ssize_t(source.size()))
    return {"", "no memory for the source of a module\n"};
  lseek(in, 0, SEEK_SET);
  const pid_t child = fork();
  if (child == 0) {
    dup2(in, 0), dup2(out, 1), dup2(messages, 2);
    close(in), close(out), close(messages);
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  int status = -1;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  close(in);
  Compiled result{read_all(out), read_all(messages)};
  result.library.resize(strcspn(result.library.c_str(), "\n"));
  if (status != 0) result.library.clear();
  return result;
}
