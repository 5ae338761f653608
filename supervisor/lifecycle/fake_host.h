// SPDX-License-Identifier: Apache-2.0
//
// FakeHost, FakeInstance: a scripted host for tests of the lifecycle and of the API. No process, no
// guest: a test says what each question comes to, and changes the instance's View by hand or by
// script. One thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_FAKE_HOST_H_
#define BERTH_SUPERVISOR_LIFECYCLE_FAKE_HOST_H_

#include <functional>
#include <map>
#include <vector>

#include "supervisor/lifecycle/host.h"

namespace berth::lifecycle {

class FakeInstance : public Instance {
 public:
  explicit FakeInstance(std::function<void()> changed) : changed_(std::move(changed)) {}
  ~FakeInstance() override { --alive; }

  const struct View& view() const override { return view_; }
  const std::string& Accelerator() const override { return accelerator_; }
  boost::asio::awaitable<Result<>> AskGuestToPowerOff(std::chrono::milliseconds grace,
                                                      Deadline deadline) override;
  boost::asio::awaitable<Result<>> AskHypervisorToQuit(Deadline deadline) override;
  boost::asio::awaitable<Result<>> SetPaused(bool paused, Deadline deadline) override;
  boost::asio::awaitable<Result<>> TearDown(Deadline deadline) override;
  Evidence CollectEvidence() const override { return evidence; }
  boost::asio::awaitable<Outcome<UniqueFd>> OpenStream(v1::Envelope request,
                                                       Deadline deadline) override;
  boost::asio::awaitable<Outcome<v1::Envelope>> Call(v1::Envelope request, uint32_t since,
                                                     v1::Envelope::BodyCase answer,
                                                     Deadline deadline) override;

  boost::asio::awaitable<Outcome<ClockReport>> LookAtClock(ClockAction action,
                                                           Deadline deadline) override;

  // What happens to it.
  void Launch();
  void SayReady(std::string instance_id = "a1");
  void Exit(shim::ExitReason reason, bool kill_requested = false);
  void Change(const std::function<void(struct View&)>& how);

  // What its answers are.
  bool guest_obeys = true;
  bool hypervisor_obeys = true;
  std::optional<Error> teardown_error;
  std::optional<Error> guest_error;
  Outcome<> stream_outcome;
  Outcome<v1::Envelope> call_outcome;  // of any body
  Outcome<ClockReport> clock_outcome;
  bool calls_hang = false;  // a call gets no answer until it is given up
  Evidence evidence;

  // What was asked of it.
  std::vector<std::string> asked;
  std::chrono::milliseconds guest_grace{0};
  std::vector<v1::Envelope> streams;
  std::vector<v1::Envelope> calls;
  int hanging = 0;       // calls that were not given up yet
  UniqueFd stream_peer;  // the guest's end of the latest stream
  bool torn_down = false;

  static inline int alive = 0;  // FakeInstances that exist

 private:
  struct View view_;
  std::string accelerator_ = "scripted";
  std::function<void()> changed_;
};

class FakeHost : public Host {
 public:
  using Script = std::function<void(FakeInstance&)>;

  Outcome<> Check(const VmSpec& spec) override;
  boost::asio::awaitable<Outcome<>> Provision(VmSpec spec) override;
  Outcome<> Deprovision(const std::string& name) override;
  boost::asio::awaitable<Outcome<std::shared_ptr<Instance>>> Launch(VmSpec spec,
                                                                    std::function<void()> changed,
                                                                    Deadline deadline) override;

  // Run on each new instance, in order; the last one again and again. Default: comes up at once.
  std::vector<Script> scripts;
  Outcome<> check_outcome;
  Outcome<> provision_outcome;
  Outcome<> launch_outcome;
  Outcome<> deprovision_outcome;

  std::map<std::string, std::weak_ptr<FakeInstance>> instances;  // the latest of each VM
  std::vector<std::string> provisioned;
  std::vector<std::string> deprovisioned;
  int launches = 0;
};

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_FAKE_HOST_H_
