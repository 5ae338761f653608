// SPDX-License-Identifier: Apache-2.0
#include "agent/http_reply.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace http = boost::beast::http;

namespace {

constexpr size_t kLastChunkBytes = 5;  // "0\r\n\r\n"

}  // namespace

struct HttpReply::Parser {
  http::response_parser<http::string_body> http;
};

HttpReply::HttpReply() : parser_(std::make_unique<Parser>()) {
  parser_->http.header_limit(wire::kMaxHttpReplyBytes);
  parser_->http.body_limit(wire::kMaxHttpReplyBytes);
}

HttpReply::~HttpReply() = default;

Result<> HttpReply::Take(std::string_view bytes) {
  taken_ += bytes.size();
  // The parser's own limits are of head and body apart.
  if (taken_ > wire::kMaxHttpReplyBytes) {
    return Fail("http", EMSGSIZE,
                "the reply is over " + std::to_string(wire::kMaxHttpReplyBytes) + " bytes");
  }
  unparsed_ += bytes;
  while (!unparsed_.empty() && !done()) {
    // The parser asserts that the end of a chunked body comes whole, and there is more to come.
    if (has_head() && parser_->http.chunked() && unparsed_.size() < kLastChunkBytes) return {};
    boost::system::error_code code;
    const size_t used = parser_->http.put(boost::asio::buffer(unparsed_), code);
    unparsed_.erase(0, used);
    if (code == http::error::need_more) return {};
    if (code == http::error::body_limit || code == http::error::header_limit) {
      return Fail("http", EMSGSIZE,
                  "the reply is over " + std::to_string(wire::kMaxHttpReplyBytes) + " bytes");
    }
    if (code) return Fail("http", EPROTO, "no HTTP reply: " + Printable(code.message(), 128));
    if (used == 0) return {};
  }
  return {};
}

Result<> HttpReply::TakeEnd() {
  if (!parser_->http.got_some()) {
    // put_eof asserts that there was something.
    return Fail("http", EPROTO, "closed without a reply");
  }
  boost::system::error_code code;
  if (!done()) parser_->http.put_eof(code);
  if (code || !parser_->http.is_header_done()) {
    return Fail("http", EPROTO, "closed in the middle of its reply");
  }
  return {};
}

bool HttpReply::has_head() const { return parser_->http.is_header_done(); }
bool HttpReply::done() const { return parser_->http.is_done(); }
int HttpReply::status() const { return static_cast<int>(parser_->http.get().result_int()); }
const std::string& HttpReply::body() const { return parser_->http.get().body(); }

}  // namespace berth::agent
