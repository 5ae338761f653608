// SPDX-License-Identifier: Apache-2.0
//
// HttpReply: an HTTP/1.1 response as it arrives, in bounds. What is in it came from a service of
// the guest. The parser is Boost.Beast's; docs/decisions/0013-health.md says why.
#ifndef BERTH_AGENT_HTTP_REPLY_H_
#define BERTH_AGENT_HTTP_REPLY_H_

#include <memory>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace berth::agent {

class HttpReply {
 public:
  HttpReply();
  ~HttpReply();
  HttpReply(const HttpReply&) = delete;
  HttpReply& operator=(const HttpReply&) = delete;

  // More bytes of it. EPROTO where it is no HTTP; EMSGSIZE where it is over
  // wire::kMaxHttpReplyBytes.
  Result<> Take(std::string_view bytes);
  // The peer has closed. EPROTO where the response was not at its end.
  Result<> TakeEnd();

  bool has_head() const;
  bool done() const;
  int status() const;
  const std::string& body() const;

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
  std::string unparsed_;
  size_t taken_ = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_HTTP_REPLY_H_
