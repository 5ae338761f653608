// SPDX-License-Identifier: Apache-2.0
//
// Bytes that another side chose, made fit to be sent as text and to be shown to a person.
#ifndef BERTH_PROTOCOL_BASE_TEXT_H_
#define BERTH_PROTOCOL_BASE_TEXT_H_

#include <string>
#include <string_view>

namespace berth {

// `text` with a '?' for each byte that is no UTF-8, cut between characters to at most `max_bytes`.
// A proto3 string that is not UTF-8 fails its receiver.
std::string Utf8(std::string_view text, size_t max_bytes = std::string_view::npos);

// As Utf8, and with a '?' for each character that drives a terminal or turns the order of what
// stands beside it: C0 but those `kept`, DEL, C1 and Unicode's line separators and bidirectional
// controls.
std::string Printable(std::string_view text, size_t max_bytes = std::string_view::npos,
                      std::string_view kept = {});

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_TEXT_H_
