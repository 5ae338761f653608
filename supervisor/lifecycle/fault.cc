// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/fault.h"

namespace berth::lifecycle {

std::string Fault::Message() const {
  std::string text = step;
  if (errnum != 0) {
    text += ": " + ErrnoText(errnum);
  }
  if (!detail.empty()) text += ": " + detail;
  if (!hint.empty()) text += "; " + hint;
  return text;
}

Fault ToFault(Kind kind, const Error& error) {
  switch (error.errnum) {
    case EACCES:
    case EPERM:
      kind = Kind::kNotPermitted;
      break;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      kind = Kind::kNoResources;
      break;
    default:
      break;
  }
  return Fault{kind, std::string(error.step.name()), error.errnum, error.detail, error.hint};
}

}  // namespace berth::lifecycle
