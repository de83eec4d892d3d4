/** @file Filtering what a plugin writes to stderr while it loads. */
#include "quiet_stderr.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cctype>
#include <string>

namespace jorch::pjrt {
namespace {

/** `I0000 00:00:… file.cc:31] …`, and what absl says once before such lines. */
bool isLogLine(const std::string& line) {
  if (line.rfind("WARNING: All log messages before absl::InitializeLog()", 0) == 0) return true;
  if (line.size() < 6 || std::string("IWE").find(line[0]) == std::string::npos || line[5] != ' ') return false;
  for (size_t i = 1; i < 5; i++)
    if (!std::isdigit(static_cast<unsigned char>(line[i]))) return false;
  return true;
}

void writeAll(int file, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = write(file, data, size);
    if (written <= 0) return;
    data += written;
    size -= static_cast<size_t>(written);
  }
}

}  // namespace

QuietStderr::QuietStderr() {
  const char* level = getenv("TF_CPP_MIN_LOG_LEVEL");
  if (level != nullptr && atoi(level) < 2) return;
  memory_ = memfd_create("jorch-stderr", MFD_CLOEXEC);
  if (memory_ < 0) return;
  original_ = dup(STDERR_FILENO);
  if (original_ >= 0 && dup2(memory_, STDERR_FILENO) >= 0) return;
  if (original_ >= 0) close(original_);
  close(memory_);
  original_ = memory_ = -1;
}

QuietStderr::~QuietStderr() {
  if (original_ < 0) return;
  dup2(original_, STDERR_FILENO);
  std::string text(static_cast<size_t>(lseek(memory_, 0, SEEK_END)), '\0');
  const ssize_t got = pread(memory_, text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  for (size_t from = 0; from < text.size();) {
    const size_t end = text.find('\n', from);
    const size_t next = end == std::string::npos ? text.size() : end + 1;
    const std::string line = text.substr(from, next - from);
    if (!isLogLine(line)) writeAll(original_, line.data(), line.size());
    from = next;
  }
  close(original_);
  close(memory_);
}

}  // namespace jorch::pjrt
