// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/forward_spec.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace berth::cli {

namespace {

constexpr const char* kDefaultBind = "127.0.0.1";
constexpr const char* kDefaultTarget = "localhost";

bool IsPath(const std::string& part) { return part.find('/') != std::string::npos; }

// At the colons outside of brackets, which are taken off.
std::expected<std::vector<std::string>, std::string> Split(const std::string& text) {
  std::vector<std::string> parts(1);
  bool inside = false;
  for (const char c : text) {
    if (c == '[' && !inside && parts.back().empty()) {
      inside = true;
    } else if (c == ']' && inside) {
      inside = false;
    } else if (c == ':' && !inside) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  if (inside) return std::unexpected("a '[' is not closed");
  return parts;
}

std::expected<uint16_t, std::string> Port(const std::string& text, bool zero) {
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, port);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != end || (port == 0 && !zero)) {
    return std::unexpected("'" + text + "' is no port" + (zero ? "" : " of the guest"));
  }
  return port;
}

bool IsNumber(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::expected<ForwardEnd, std::string> Remote(const std::vector<std::string>& parts) {
  if (parts.size() == 1 && IsPath(parts[0])) {
    if (!parts[0].starts_with('/')) {
      return std::unexpected("'" + parts[0] + "': a path in the guest begins with '/'");
    }
    return ForwardEnd{.host = {}, .port = 0, .path = parts[0]};
  }
  const std::string host = parts.size() == 2 ? parts[0] : kDefaultTarget;
  if (host.empty()) return std::unexpected("the host is empty");
  auto port = Port(parts.back(), false);
  if (!port) return std::unexpected(port.error());
  return ForwardEnd{.host = host, .port = *port, .path = {}};
}

}  // namespace

std::string ForwardEnd::Text() const {
  if (is_unix()) return path;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::expected<ForwardSpec, std::string> ParseForward(const std::string& text) {
  auto split = Split(text);
  if (!split) return std::unexpected(split.error());
  std::vector<std::string> parts = std::move(*split);
  if (parts.size() == 1) {
    if (IsPath(parts[0])) {
      return std::unexpected("where it leads is missing: LOCAL:REMOTE");
    }
    parts.push_back(parts[0]);
  }
  ForwardSpec spec;
  size_t used = 1;
  if (IsPath(parts[0])) {
    spec.local.path = parts[0];
  } else if (IsNumber(parts[0])) {
    spec.local.host = kDefaultBind;
  } else {
    spec.local.host = parts[0] == "localhost" ? kDefaultBind : parts[0];
    if (spec.local.host.empty()) return std::unexpected("the address to listen on is empty");
    used = 2;
  }
  if (parts.size() <= used) return std::unexpected("where it leads is missing: LOCAL:REMOTE");
  if (parts.size() > used + 2) {
    return std::unexpected("too many ':'; an IPv6 address stands in brackets, a path has none");
  }
  if (!spec.local.is_unix()) {
    auto port = Port(parts[used - 1], true);
    if (!port) return std::unexpected(port.error());
    spec.local.port = *port;
  }
  auto remote = Remote({parts.begin() + static_cast<ptrdiff_t>(used), parts.end()});
  if (!remote) return std::unexpected(remote.error());
  spec.remote = std::move(*remote);
  return spec;
}

std::expected<ForwardEnd, std::string> ParseForwardTarget(const std::string& text) {
  const auto parts = Split(text);
  if (!parts) return std::unexpected(parts.error());
  if (parts->size() > 2) {
    return std::unexpected("too many ':'; an IPv6 address stands in brackets, a path has none");
  }
  return Remote(*parts);
}

nlohmann::json ForwardParams(const std::string& vm, const ForwardEnd& remote) {
  if (remote.is_unix()) return {{"name", vm}, {"path", remote.path}};
  return {{"name", vm}, {"host", remote.host}, {"port", remote.port}};
}

}  // namespace berth::cli
