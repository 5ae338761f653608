// SPDX-License-Identifier: Apache-2.0
//
// RecordCutter: cuts what a guest sends on a log connection into records, and refuses whatever is
// not as protocol/base/log_record.h has it. The guest is hostile: each size is checked before
// anything is kept for it, and never is more kept than one record and the names of the sources. A
// value of one connection; one thread.
#ifndef BERTH_SUPERVISOR_LOGS_RECORD_CUTTER_H_
#define BERTH_SUPERVISOR_LOGS_RECORD_CUTTER_H_

#include <cstddef>
#include <span>
#include <string>

#include "protocol/base/result.h"
#include "supervisor/logs/record.h"

namespace berth::logs {

class RecordCutter {
 public:
  // The next record is to have the number behind `last_seq`. `known`: sources that this boot named
  // on earlier connections; it may name them again, by the same names.
  RecordCutter(uint64_t last_seq, Sources known)
      : last_seq_(last_seq), sources_(std::move(known)) {}

  // Takes the next bytes, of any number. Whole records are added to `out` as they came, but for
  // sources that are known already. Step "log-record", EPROTO; then it is of no use any more.
  Result<> Take(std::span<const std::byte> bytes, std::string& out);

  // Of the last whole record.
  uint64_t last_seq() const { return last_seq_; }
  bool InsideRecord() const { return !begun_.empty(); }

 private:
  Result<> Check(std::string_view record, std::string& out);
  Result<> CheckSource(const Record& record, std::string_view bytes, std::string& out);

  uint64_t last_seq_;
  Sources sources_;
  std::string begun_;  // of a record whose end has not arrived
};

}  // namespace berth::logs

#endif  // BERTH_SUPERVISOR_LOGS_RECORD_CUTTER_H_
