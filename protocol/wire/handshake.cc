// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/handshake.h"

#include <algorithm>

#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

#ifndef BERTH_BUILD_ID
#error "the build sets BERTH_BUILD_ID"
#endif

namespace berth::wire {
namespace {

std::string Range(const v1::Hello& hello) {
  std::string text = std::to_string(hello.oldest_generation());
  if (hello.generation() != hello.oldest_generation()) {
    text += "–" + std::to_string(hello.generation());
  }
  return text;
}

}  // namespace

const char* BuildId() { return BERTH_BUILD_ID; }

v1::Hello MakeHello(std::string boot_id, std::string instance_id) {
  v1::Hello hello;
  hello.set_generation(kGeneration);
  hello.set_oldest_generation(kOldestGeneration);
  hello.set_build_id(BuildId());
  hello.set_boot_id(std::move(boot_id));
  hello.set_instance_id(std::move(instance_id));
  return hello;
}

std::string HexOfId(std::string_view id) {
  constexpr size_t kIdBytes = 16;
  std::string text;
  for (const char c : id.substr(0, kIdBytes)) {
    for (const int shift : {4, 0})
      text += "0123456789abcdef"[static_cast<uint8_t>(c) >> shift & 0xf];
  }
  return text;
}

Result<uint32_t> Negotiate(const v1::Hello& ours, const v1::Hello& theirs) {
  if (theirs.generation() == 0 || theirs.oldest_generation() == 0 ||
      theirs.oldest_generation() > theirs.generation()) {
    return Fail("handshake", EPROTO, "the peer's Hello names generations " + Range(theirs));
  }
  const uint32_t agreed = std::min(ours.generation(), theirs.generation());
  if (agreed < ours.oldest_generation() || agreed < theirs.oldest_generation()) {
    return Fail("handshake", EPROTONOSUPPORT,
                "this end speaks protocol generation " + Range(ours) + " (build " +
                    ours.build_id() + "), the peer " + Range(theirs) + " (build " +
                    Printable(theirs.build_id(), kMaxNameBytes) + ")",
                "use a host and a guest image that share a generation");
  }
  return agreed;
}

v1::Failure ToFailure(const Error& error) {
  v1::Failure failure;
  failure.set_step(std::string(error.step.name()));
  failure.set_errnum(error.errnum);
  failure.set_detail(Utf8(error.detail, kMaxFailureBytes));
  failure.set_hint(Utf8(error.hint, kMaxFailureBytes));
  return failure;
}

Error FromFailure(const v1::Failure& failure) {
  // One that no kernel has, as 0: a number for which there is a name, and nothing else.
  const int errnum = IsErrno(failure.errnum()) ? failure.errnum() : 0;
  // The peer's step is data, ours a literal: it goes in front of the detail.
  return Error{"guest", errnum,
               Printable(failure.step(), kMaxNameBytes) + ": " +
                   Printable(failure.detail(), kMaxFailureBytes),
               Printable(failure.hint(), kMaxFailureBytes)};
}

}  // namespace berth::wire
