// SPDX-License-Identifier: Apache-2.0
#include "cli/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <iostream>
#include <string>
#include <system_error>

#include "base/check.h"

namespace precis::cli {

void prepare_process() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) != -1 || errno != EBADF) continue;
    // open() returns the lowest free number, that of the stream. Standard output is opened
    // read-only, so that writing results fails; messages are discarded.
    const int mode = stream == STDERR_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", mode) < 0) return;
  }
}

void check_output() {
  errno = 0;
  std::cout.flush();
  const int error = errno;
  PRECIS_CHECK(std::cout.good(),
               kInvalidArgument,
               "standard output cannot be written",
               error == 0 ? "" : ": " + std::generic_category().message(error));
}

}  // namespace precis::cli
