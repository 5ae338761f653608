// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/log_archive.h"

#include "supervisor/daemon/off_thread.h"
#include "supervisor/hypervisor/vm_paths.h"

namespace berth::daemon {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

// A store has this many segments where its bound allows it, so that what goes at once is little.
constexpr uint64_t kSegmentsOfAStore = 8;
constexpr uint64_t kMaxSegmentBytes = logs::StoreBounds{}.segment_bytes;

}  // namespace

struct VmLogs::Shelf {
  Shelf(std::string where, logs::StoreBounds how_much) : dir(std::move(where)), bounds(how_much) {}

  Result<logs::Store*> Open() {
    if (store == nullptr) {
      BERTH_ASSIGN(store, logs::Store::Open(dir, bounds));
    }
    return store.get();
  }

  const std::string dir;
  const logs::StoreBounds bounds;
  std::unique_ptr<logs::Store> store;
};

VmLogs::VmLogs(asio::any_io_executor executor, asio::thread_pool& disk, std::string dir,
               logs::StoreBounds bounds)
    : disk_(disk),
      shelf_(std::make_shared<Shelf>(std::move(dir), bounds)),
      changed_(std::move(executor)) {}

// `work` takes the open store; its Result is the call's.
template <typename Work>
auto VmLogs::OnDisk(Work work) {
  return OffThread(disk_, [shelf = shelf_, work = std::move(work)]() mutable {
    using Answer = decltype(work(*shelf->store));
    auto store = shelf->Open();
    if (!store) return Answer(std::unexpected(std::move(store.error())));
    return work(**store);
  });
}

awaitable<Result<VmLogs::Facts>> VmLogs::Look() {
  return OnDisk(
      [](logs::Store& store) -> Result<Facts> { return Facts{store.id(), store.empty()}; });
}

awaitable<Result<logs::Store::Tail>> VmLogs::Tail() {
  return OnDisk([](logs::Store& store) -> Result<logs::Store::Tail> { return store.tail(); });
}

awaitable<Result<>> VmLogs::Append(logs::BootId boot_id, std::string records) {
  auto done = co_await OnDisk([boot_id, records = std::move(records)](logs::Store& store) {
    return store.Append(boot_id, records);
  });
  Changed();
  co_return done;
}

awaitable<Result<logs::Page>> VmLogs::Read(logs::Position after, logs::Filter filter,
                                           logs::PageBounds bounds) {
  return OnDisk([after, filter = std::move(filter), bounds](logs::Store& store) {
    return store.Read(after, filter, bounds);
  });
}

awaitable<Result<logs::Position>> VmLogs::FindLast(size_t lines, logs::Filter filter) {
  logs::BackScan scan;
  scan.wanted = lines;
  while (!scan.done) {
    auto next =
        co_await OnDisk([scan, filter](logs::Store& store) mutable -> Result<logs::BackScan> {
          if (auto step = store.FindLast(scan, filter); !step) {
            return std::unexpected(step.error());
          }
          return scan;
        });
    if (!next) co_return std::unexpected(next.error());
    scan = *next;
  }
  co_return scan.at;
}

void VmLogs::Changed() {
  ++changes_;
  changed_.NotifyAll();
}

void VmLogs::AddFollower() {
  ++followers_;
  Changed();
}

void VmLogs::RemoveFollower() {
  --followers_;
  Changed();
}

void VmLogs::SetTrouble(std::optional<Error> trouble) {
  const bool same = trouble.has_value() == trouble_.has_value() &&
                    (!trouble || trouble->Message() == trouble_->Message());
  trouble_ = std::move(trouble);
  if (!same) Changed();
}

VmLogsPtr LogArchive::Of(const VmSpec& spec) {
  VmLogsPtr& logs = vms_[spec.name];
  if (logs == nullptr) {
    logs::StoreBounds bounds;
    bounds.max_bytes = spec.logs.max_bytes;
    bounds.segment_bytes = std::min(kMaxSegmentBytes, spec.logs.max_bytes / kSegmentsOfAStore);
    const VmPaths paths{state_dir_ + "/vms/" + spec.name};
    logs = std::make_shared<VmLogs>(executor_, disk_, paths.LogStore(), bounds);
  }
  return logs;
}

}  // namespace berth::daemon
