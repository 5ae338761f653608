// SPDX-License-Identifier: Apache-2.0
//
// For tests: the parts of a page of docs/ that are generated from a table in the code. A part
// stands between the lines "<!-- generated: NAME -->" and "<!-- end: NAME -->".
#ifndef BERTH_SUPERVISOR_LIFECYCLE_GENERATED_DOC_H_
#define BERTH_SUPERVISOR_LIFECYCLE_GENERATED_DOC_H_

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace berth::lifecycle {

// What the page now holds for `part`. With BERTH_UPDATE_DOCS=1 in the environment the part is
// replaced by `wanted` first.
inline std::string GeneratedPart(const std::string& page, const std::string& part,
                                 const std::string& wanted) {
  const std::string path = std::string(BERTH_SOURCE_DIR) + "/" + page;
  std::stringstream buffer;
  buffer << std::ifstream(path).rdbuf();
  std::string text = buffer.str();
  const std::string begin_mark = "<!-- generated: " + part + " -->\n";
  const size_t mark = text.find(begin_mark);
  const size_t end = text.find("<!-- end: " + part + " -->");
  if (mark == std::string::npos || end == std::string::npos) {
    return path + " has no part named " + part;
  }
  const size_t begin = mark + begin_mark.size();
  if (std::getenv("BERTH_UPDATE_DOCS") != nullptr) {
    text.replace(begin, end - begin, wanted);
    std::ofstream(path) << text;
    return wanted;
  }
  return text.substr(begin, end - begin);
}

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_GENERATED_DOC_H_
