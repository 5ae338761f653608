// SPDX-License-Identifier: Apache-2.0
//
// Lines of berthd's socket. Each call has parameters or says what is wrong with it, and every
// answer is one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "supervisor/daemon/json_rpc.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace berth::daemon;
  const Incoming incoming = ParseLine({reinterpret_cast<const char*>(data), size});
  if (incoming.requests.size() > kMaxBatch) std::abort();
  for (const Request& request : incoming.requests) {
    if (!request.error && !request.params.is_structured()) std::abort();
    const json answer = request.error ? ErrorObject(request.id, *request.error)
                                      : ResultObject(request.id, request.params);
    if (Dump(answer).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
