// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace precis::cli {

// So that writing fails with an error that is told, where signals would end the process without a
// word (closed pipes, a limit on the size of files), and so that no file that is opened later gets
// the number of a standard stream that is closed, and with it what is printed.
void prepare_process();

// Throws kInvalidArgument if not all of what was printed could be written.
void check_output();

}  // namespace precis::cli
