// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace precis::cli {

// Ignores SIGPIPE and SIGXFSZ, so that writes to closed pipes or over a size limit fail with an
// error message. Opens closed standard streams on /dev/null, so that no file opened later gets
// their numbers, and with them the program's output.
void prepare_process();

// Flushes standard output. Throws kInvalidArgument if it could not be written.
void check_output();

}  // namespace precis::cli
