// SPDX-License-Identifier: Apache-2.0
//
// The part of a Store that reads.
#include <fcntl.h>

#include <algorithm>

#include "supervisor/logs/store.h"

namespace berth::logs {

namespace {

// Indexes of older segments in memory: a reader goes through them one by one.
constexpr size_t kMaxLoaded = 4;

bool InTime(const Chunk& chunk, const Filter& filter) {
  return chunk.newest_ns >= filter.since_ns && chunk.oldest_ns <= filter.until_ns;
}

bool InTime(const LogRecordHeader& header, const Filter& filter) {
  return header.realtime_ns >= filter.since_ns && header.realtime_ns <= filter.until_ns;
}

// Whether a segment's lines are wanted, by the numbers that its sources have in it.
class Wanted {
 public:
  Wanted(const Filter& filter, const Sources& sources) : filter_(filter), sources_(sources) {}

  bool Line(const Record& record) const {
    return record.header.level <= filter_.max_level && InTime(record.header, filter_) &&
           (filter_.sources.empty() || OfSource(record.header.source));
  }
  std::string NameOf(uint16_t source) const {
    const auto found = sources_.find(source);
    return found != sources_.end() ? found->second : std::string();
  }

 private:
  bool OfSource(uint16_t source) const {
    const auto found = sources_.find(source);
    return found != sources_.end() &&
           std::ranges::find(filter_.sources, found->second) != filter_.sources.end();
  }

  const Filter& filter_;
  const Sources& sources_;
};

}  // namespace

Result<Store::Loaded*> Store::LoadedOf(const Segment& segment, size_t* scanned) {
  if (active_ && active_->number == segment.number) return &*active_;
  const auto found = std::ranges::find(loaded_, segment.number, &Loaded::number);
  if (found != loaded_.end()) return &*found;
  const std::string path = PathOf(segment.number);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return ErrnoError("log-read", path);
  BERTH_ASSIGN(SegmentIndex index, ScanSegment(fd.get(), segment.header, segment.bytes, false));
  *scanned += segment.bytes;
  if (loaded_.size() >= kMaxLoaded) loaded_.pop_front();
  loaded_.push_back({segment.number, std::move(fd), std::move(index)});
  return &loaded_.back();
}

size_t Store::FirstFor(Position after) const {
  const auto behind = std::ranges::find_if(segments_, [&](const Segment& each) {
    return Position{each.header.boot, each.header.first_seq} > Position{after.boot, after.seq + 1};
  });
  return behind == segments_.begin() ? 0 : static_cast<size_t>(behind - segments_.begin()) - 1;
}

Result<Page> Store::Read(Position after, const Filter& filter, const PageBounds& bounds) {
  Page page;
  page.next = after;
  size_t scanned = 0;
  size_t text_bytes = 0;
  // The number that has to come next: another one is behind a hole. Unknown at a boot's beginning,
  // the oldest of which are dropped in order.
  std::optional<uint64_t> expected;
  if (after.boot != 0) expected = after.seq + 1;
  if (after.boot != 0 && !segments_.empty()) {
    const SegmentHeader& oldest = segments_.front().header;
    page.lost = oldest.boot > after.boot && (oldest.boot > after.boot + 1 || oldest.first_seq > 1);
  }
  for (size_t i = FirstFor(after); i < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    if (segment.header.boot < page.next.boot) continue;
    if (segment.header.boot > page.next.boot) {
      page.next = {segment.header.boot, 0};
      expected.reset();
    }
    BERTH_ASSIGN(Loaded* const loaded, LoadedOf(segment, &scanned));
    const Wanted wanted(filter, loaded->index.sources);
    for (const Chunk& chunk : loaded->index.chunks) {
      if (chunk.last_seq <= page.next.seq) continue;
      if (!InTime(chunk, filter)) {
        page.next.seq = chunk.last_seq;
        expected = chunk.last_seq + 1;
        continue;
      }
      if (scanned >= bounds.scanned_bytes) return page;
      scanned += chunk.end - chunk.begin;
      BatchReader reader(loaded->fd.get(), chunk.begin, chunk.end);
      for (;;) {
        BERTH_ASSIGN(std::string_view rest, reader.Next(false));
        if (rest.empty()) break;
        while (const auto record = TakeRecord(rest)) {
          const LogRecordHeader& header = record->header;
          if (record->IsSource()) continue;
          const auto gap = record->IsGap() ? GapOf(*record) : std::nullopt;
          const uint64_t last = gap ? gap->to : header.seq;
          if (last <= page.next.seq) continue;
          if (page.lines.size() >= bounds.lines || text_bytes >= bounds.text_bytes) return page;
          Line line{segment.header.boot, segment.header.boot_id, header, {}, {}, {}};
          if (expected && header.seq > *expected) {
            line.gap = Gap{*expected, header.seq - 1, ENODATA};
            page.next.seq = header.seq - 1;
            page.lines.push_back(line);
          }
          expected = last + 1;
          page.next.seq = last;
          if (record->IsGap()) {
            if (!gap || !InTime(header, filter)) continue;
            line.gap = gap;
          } else {
            if (!wanted.Line(*record)) continue;
            line.gap.reset();
            line.source = wanted.NameOf(header.source);
            line.text = record->text;
            text_bytes += line.text.size();
          }
          page.lines.push_back(std::move(line));
        }
      }
    }
  }
  page.end = true;
  return page;
}

Result<> Store::FindLast(BackScan& scan, const Filter& filter) {
  if (scan.wanted == 0) {
    scan.done = true;
    scan.at = {boot_, last_seq_};
    return {};
  }
  size_t scanned = 0;
  for (size_t i = segments_.size(); i-- > 0;) {
    const Segment& segment = segments_[i];
    if (segment.number > scan.number) continue;
    if (scanned >= scan.bounds.scanned_bytes) return {};
    if (segment.number < scan.number) scan.offset = std::numeric_limits<uint64_t>::max();
    scan.number = segment.number;
    BERTH_ASSIGN(Loaded* const loaded, LoadedOf(segment, &scanned));
    const Wanted wanted(filter, loaded->index.sources);
    const auto& chunks = loaded->index.chunks;
    for (size_t c = chunks.size(); c-- > 0;) {
      const Chunk& chunk = chunks[c];
      if (chunk.begin >= scan.offset) continue;
      if (InTime(chunk, filter)) {
        if (scanned >= scan.bounds.scanned_bytes) return {};
        scanned += chunk.end - chunk.begin;
        std::vector<uint64_t> seqs;
        BatchReader reader(loaded->fd.get(), chunk.begin, chunk.end);
        for (;;) {
          BERTH_ASSIGN(std::string_view rest, reader.Next(false));
          if (rest.empty()) break;
          while (const auto record = TakeRecord(rest)) {
            const bool line = !record->IsSource() && !record->IsGap();
            if (line && wanted.Line(*record)) seqs.push_back(record->header.seq);
          }
        }
        const size_t missing = scan.wanted - scan.found;
        if (seqs.size() >= missing) {
          scan.done = true;
          scan.at = {segment.header.boot, seqs[seqs.size() - missing] - 1};
          return {};
        }
        scan.found += seqs.size();
      }
      scan.offset = chunk.begin;
    }
  }
  scan.done = true;
  return {};
}

}  // namespace berth::logs
