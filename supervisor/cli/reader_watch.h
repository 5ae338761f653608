// SPDX-License-Identifier: Apache-2.0
#ifndef BERTH_SUPERVISOR_CLI_READER_WATCH_H_
#define BERTH_SUPERVISOR_CLI_READER_WATCH_H_

namespace berth::cli {

// For commands that follow: from now on this process ends with 141, as SIGPIPE would end it, once
// nobody reads its stdout any more, where that is a pipe or a socket. What it waits for may not
// come for hours, and only then would a write tell.
void EndWithReader();

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_READER_WATCH_H_
