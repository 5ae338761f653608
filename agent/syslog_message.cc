// SPDX-License-Identifier: Apache-2.0
#include "agent/syslog_message.h"

#include <algorithm>

#include "agent/log_level.h"

namespace berth::agent {
namespace {

bool IsDecimal(char c) { return c >= '0' && c <= '9'; }

// "Mmm dd hh:mm:ss ", a day below 10 with a blank before it.
bool TakeRfc3164Time(std::string_view& text) {
  static constexpr std::string_view kForm = "Aaa bd dd:dd:dd ";
  if (text.size() < kForm.size()) return false;
  for (size_t i = 0; i < kForm.size(); ++i) {
    const char c = text[i];
    switch (kForm[i]) {
      case 'A':
        if (c < 'A' || c > 'Z') return false;
        break;
      case 'a':
        if (c < 'a' || c > 'z') return false;
        break;
      case 'b':
        if (c != ' ' && !IsDecimal(c)) return false;
        break;
      case 'd':
        if (!IsDecimal(c)) return false;
        break;
      default:
        if (c != kForm[i]) return false;
        break;
    }
  }
  text.remove_prefix(kForm.size());
  return true;
}

// Up to the next blank, which goes too. False where there is none, or nothing in front of it.
bool TakeWord(std::string_view& text, std::string_view& word) {
  const size_t blank = text.find(' ');
  if (blank == 0 || blank == std::string_view::npos) return false;
  word = text.substr(0, blank);
  text.remove_prefix(blank + 1);
  return true;
}

// "-", or "[id name="value"]…" with \", \\ and \] in a value; then a blank or the end.
bool TakeStructuredData(std::string_view& text, std::string_view& data) {
  size_t at = 0;
  if (text.starts_with('-')) {
    at = 1;
  } else {
    while (at < text.size() && text[at] == '[') {
      bool quoted = false;
      for (++at; at < text.size() && (quoted || text[at] != ']'); ++at) {
        if (quoted && text[at] == '\\') {
          ++at;
        } else if (text[at] == '"') {
          quoted = !quoted;
        }
      }
      if (at >= text.size()) return false;
      ++at;
    }
  }
  if (at == 0 || (at < text.size() && text[at] != ' ')) return false;
  data = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return true;
}

// "1 TIME HOST APP PROCID MSGID DATA MSG".
bool TakeRfc5424(std::string_view& text, std::string& scratch) {
  std::string_view rest = text;
  std::string_view word;
  std::string_view app;
  std::string_view pid;
  std::string_view data;
  if (!TakeWord(rest, word) || word != "1") return false;
  if (!TakeWord(rest, word) || (word != "-" && word.find('T') == std::string_view::npos)) {
    return false;
  }
  if (!TakeWord(rest, word) || !TakeWord(rest, app) || !TakeWord(rest, pid) ||
      !TakeWord(rest, word) || !TakeStructuredData(rest, data)) {
    return false;
  }
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  scratch.clear();
  if (app != "-") {
    scratch += app;
    if (pid != "-") {
      scratch += '[';
      scratch += pid;
      scratch += ']';
    }
    scratch += ": ";
  }
  if (data != "-") {
    scratch += data;
    if (!rest.empty()) scratch += ' ';
  }
  scratch += rest;
  text = scratch;
  return true;
}

}  // namespace

SyslogMessage ParseSyslog(std::string_view datagram, std::string& scratch) {
  while (datagram.ends_with('\n') || datagram.ends_with('\0')) datagram.remove_suffix(1);
  SyslogMessage message;
  message.text = datagram;
  message.level = TakeLevelPrefix(message.text);
  if (message.text.size() == datagram.size()) return message;
  if (!TakeRfc3164Time(message.text)) TakeRfc5424(message.text, scratch);
  return message;
}

}  // namespace berth::agent
