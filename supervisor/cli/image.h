// SPDX-License-Identifier: Apache-2.0
//
// The commands below `berth image`. They need no berthd and no right that an ordinary user lacks.
#ifndef BERTH_SUPERVISOR_CLI_IMAGE_H_
#define BERTH_SUPERVISOR_CLI_IMAGE_H_

#include "supervisor/cli/command.h"

namespace berth::cli {

void AddImageBuild(CLI::App& image, Shared& shared);

// "64M", "2G"; a bare number counts MiB. For CLI11: throws CLI::ValidationError.
uint64_t ParseSize(const std::string& text);

// Prints why, and returns the exit code: 128 + N where signal N ended it.
int ReportImage(const std::string& what, const Error& error, std::optional<int> signal);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_IMAGE_H_
